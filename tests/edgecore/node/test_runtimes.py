from __future__ import annotations

import http.server
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgecore.node.runtimes import docker_answers


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers a ping."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/_ping" else 404)
        self.end_headers()

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def engine(path: Path, status: int) -> Iterator[str]:
    handler = type("Handler", (Answering,), {"status": status})
    with socketserver.UnixStreamServer(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "found"), [(200, True), (500, False)])
def test_an_engine_that_answers_is_found(tmp_path: Path, status: int, found: bool) -> None:
    with engine(tmp_path / "engine.sock", status) as address:
        assert docker_answers(address) is found


def test_where_nobody_listens_there_is_none(tmp_path: Path) -> None:
    assert not docker_answers(f"unix://{tmp_path}/none.sock")
    (tmp_path / "file").touch()
    assert not docker_answers(f"unix://{tmp_path}/file")


def test_engines_of_other_hosts_are_not_looked_for() -> None:
    assert not docker_answers("tcp://127.0.0.1:1")


def test_without_its_library_an_engine_is_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecore.node.runtimes.find_spec", lambda name: None)
    with engine(tmp_path / "engine.sock", 200) as address:
        assert not docker_answers(address)
