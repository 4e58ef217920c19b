from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudcore.sockets import Listeners, read_run_file, write_run_file
from protocol.errors import UsageError

LOOPBACK = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        sock.listen()
        yield sock.getsockname()[1]


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    made = Listeners(LOOPBACK)
    yield made
    for sock in made.bound.values():
        sock.close()


def test_a_free_port_is_taken_as_asked(listeners: Listeners, taken: int) -> None:
    sock = listeners.bind("api_port", 0, explicit=True)
    assert listeners.ports == {"api_port": sock.getsockname()[1]}
    assert listeners.ports["api_port"] not in {0, taken}


def test_an_explicit_port_in_use_is_refused_with_the_flag(listeners: Listeners, taken: int) -> None:
    with pytest.raises(UsageError, match=f"port {taken} is in use: give another with --api-port"):
        listeners.bind("api_port", taken, explicit=True)


def test_a_default_port_in_use_falls_back_to_a_free_one(listeners: Listeners, taken: int) -> None:
    listeners.bind("ws_port", taken, explicit=False)
    assert listeners.ports["ws_port"] not in {0, taken}


def test_the_port_of_the_last_run_is_preferred_for_nodes_know_it(taken: int) -> None:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        last_run = probe.getsockname()[1]
    listeners = Listeners(LOOPBACK, recorded={"ws_port": last_run})
    with listeners.bind("ws_port", 0, explicit=False):
        assert listeners.ports == {"ws_port": last_run}


def test_a_port_of_the_last_run_that_is_taken_now_is_replaced(taken: int) -> None:
    listeners = Listeners(LOOPBACK, recorded={"ws_port": taken})
    with listeners.bind("ws_port", 0, explicit=False):
        assert listeners.ports["ws_port"] not in {0, taken}


def test_the_run_file_is_read_back_and_a_damaged_one_is_as_none(tmp_path: Path) -> None:
    write_run_file(tmp_path, {"pid": 7, "ports": {"api_port": 1}})
    assert read_run_file(tmp_path) == {"pid": 7, "ports": {"api_port": 1}}
    (tmp_path / "run.json").write_text("{")
    assert read_run_file(tmp_path) == {}
    assert read_run_file(tmp_path / "absent") == {}
