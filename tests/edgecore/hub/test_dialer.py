from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgecore.hub import dialer
from edgecore.node.timefloor import TimeFloor
from protocol.errors import ConnectionClosed

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hub")])


class Answered:
    """A connection to a hub whose certificate is valid from and to the days given, as seen from :data:`NOW`."""

    def __init__(self, begin: int, end: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), 7, NOW + begin * DAY, NOW + end * DAY)
        self.peer_certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        self.peer_address, self.bytes_received = "hub:1", 0
        self.closed: list[int] = []

    async def send(self, frames: Sequence[bytes]) -> None:
        raise AssertionError

    async def receive(self) -> bytes:
        raise AssertionError

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed.append(code)


@pytest.fixture
def clock(tmp_path: Path) -> TimeFloor:
    """Return the clock of a device that believes to be in 1970, and does not move."""
    return TimeFloor(tmp_path / "clock.json", wall=lambda: 60.0, monotonic=lambda: 0.0)


def dialling(monkeypatch: pytest.MonkeyPatch, clock: TimeFloor, hub: Answered) -> dialer.Dialer:
    async def connect(url: str, *, tls: ssl.SSLContext | None) -> Answered:
        return hub

    monkeypatch.setattr(dialer, "connect", connect)
    return dialer.Dialer(["wss://hub:1"], ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), clock)


async def test_a_device_in_1970_connects_and_learns_what_time_it_is(
    monkeypatch: pytest.MonkeyPatch, clock: TimeFloor
) -> None:
    await dialling(monkeypatch, clock, Answered(-3, 300))()
    assert clock.now() == (NOW - 3 * DAY).timestamp()


async def test_a_certificate_that_has_certainly_ended_is_refused(
    monkeypatch: pytest.MonkeyPatch, clock: TimeFloor
) -> None:
    await dialling(monkeypatch, clock, Answered(-3, 300))()
    stale = Answered(-400, -35)
    with pytest.raises(ConnectionClosed, match="ended on 2026-04-27"):
        await dialling(monkeypatch, clock, stale)()
    assert stale.closed
    assert clock.floor == (NOW - 3 * DAY).timestamp()
