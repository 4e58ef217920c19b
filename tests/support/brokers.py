"""A real mosquitto of the tests' own, and its command-line clients."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.requirements import is_required
from tests.support.waiting import eventually

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def require_mosquitto() -> None:
    """Skip the test where mosquitto or its clients are missing; fail it where they must not be."""
    if MOSQUITTO and shutil.which("mosquitto_pub") and shutil.which("mosquitto_sub"):
        return
    reason = "needs mosquitto and mosquitto-clients"
    if is_required("MQTT"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Broker:
    """A mosquitto on loopback.

    Attributes:
        folder: For its configuration.
        port: Where it listens.
        extra: Further lines of its configuration.
        client: Arguments that its clients need (user, TLS).
    """

    folder: Path
    port: int
    extra: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        lines = [f"listener {self.port} 127.0.0.1", *self.extra]
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines.append("allow_anonymous true")
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*lines, "user root", ""]))
        assert MOSQUITTO is not None
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._listens, what="mosquitto does not listen")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def publish(self, topic: str, payload: object, *options: str) -> None:
        """Publish with mosquitto_pub; what is no text is sent as JSON."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        command = ["mosquitto_pub", "-p", str(self.port), *self.client, "-q", "1", "-t", topic, "-m", text, *options]
        subprocess.run(command, check=True, timeout=20)

    @contextmanager
    def listening(self, *topics: str) -> Iterator[Listener]:
        """Listen with mosquitto_sub while the block runs."""
        filters = [part for topic in topics for part in ("-t", topic)]
        path = self.folder / f"heard-{os.urandom(4).hex()}"
        with path.open("wb") as out:
            process = subprocess.Popen(
                [
                    "stdbuf",
                    "-oL",
                    "mosquitto_sub",
                    "-d",
                    "-p",
                    str(self.port),
                    *self.client,
                    "-q",
                    "1",
                    *filters,
                    "-F",
                    ">%t %p",
                ],
                stdout=out,
            )
            try:
                listener = Listener(path)
                eventually(lambda: "received SUBACK" in path.read_text(), what="mosquitto_sub does not subscribe")
                yield listener
            finally:
                process.kill()
                process.wait(10)


@dataclass
class Listener:
    """What a mosquitto_sub has heard."""

    path: Path

    def heard(self, topic: str) -> list[Any]:
        """Return the payloads heard on ``topic`` so far, oldest first."""
        lines = self.path.read_text().splitlines()
        start = f">{topic} "
        return [json.loads(line.removeprefix(start)) for line in lines if line.startswith(start)]

    def wait(self, topic: str, count: int = 1) -> Any:
        """Return payload number ``count`` on ``topic`` once it is heard."""
        return eventually(lambda: self.heard(topic)[count - 1 :], what=f"nothing on {topic}")[0]


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def broker(folder: Path, *extra: str, client: tuple[str, ...] = ()) -> Iterator[Broker]:
    """Run a mosquitto while the block runs."""
    require_mosquitto()
    folder.mkdir(parents=True, exist_ok=True)
    running = Broker(folder, free_port(), extra, client)
    running.start()
    try:
        yield running
    finally:
        running.stop()
