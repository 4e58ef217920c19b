"""Networks that can be bad: each edge in a network namespace of its own, joined to the cloud's by one link.

Meant to be used inside namespaces made for one run (``tests/support/faultruns.py``), so that addresses and names need
not be unique and nothing is left behind. The cloud lives in the run's own namespace under :data:`CLOUD_ADDRESS`.

Two kinds of link:

- :class:`RelayedLink`: two TUN devices and a relay process between them. Does everything in
  :class:`~tests.support.impairments.Impairment`, to TCP and UDP alike.
- :class:`WiredLink`: a veth pair; ``tbf`` limits the rate and iptables loses packets. No delay, no reordering.

A cut that answers (``Weather.reject``) is made by iptables on either kind: TCP is reset.
"""

from __future__ import annotations

import asyncio
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import AiokubeedgeError
from tests.support.impairments import CLEAR, Impairment

CLOUD_ADDRESS = "10.77.0.1"
NAMESPACES = Path("/run/netns")
DEADLINE_S = 20.0
_BURST_BYTES = 4096


class LabFailed(AiokubeedgeError):
    """The lab itself, not what is tested in it, does not work."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What a link is like.

    Attributes:
        up: From the edge to the cloud.
        down: From the cloud to the edge.
        reject: Connections are reset and refused.
    """

    up: Impairment = CLEAR
    down: Impairment = CLEAR
    reject: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"up": self.up.plain(), "down": self.down.plain(), "reject": self.reject}


FINE = Weather()


async def tool(*argv: str, given: str = "") -> str:
    """Run a command to its end and return its output.

    Raises:
        LabFailed: Its exit status was not 0, or it hung.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate(given.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LabFailed(f"{' '.join(argv)} hung") from None
    if process.returncode:
        raise LabFailed(f"{' '.join(argv)}: {err.decode().strip()}")
    return out.decode()


async def prepare() -> None:
    """Give this network namespace the cloud's address. The mount namespace must be the run's own too."""
    NAMESPACES.mkdir(parents=True, exist_ok=True)
    await tool("mount", "-t", "tmpfs", "tmpfs", str(NAMESPACES))
    await tool("ip", "link", "set", "lo", "up")
    await tool("ip", "address", "add", f"{CLOUD_ADDRESS}/32", "dev", "lo")


class Link(ABC):
    """One edge's namespace and its link to the cloud.

    Args:
        name: Of the namespace; at most ten characters, for the devices are named after it.
        number: Tells the links' addresses apart; from 1 to 250.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.near, self.far = f"c-{name}", f"e-{name}"
        self._near_address, self._far_address = f"10.77.{number}.1", f"10.77.{number}.2"

    @property
    def namespace(self) -> Path:
        """The namespace's file."""
        return NAMESPACES / self.name

    def inside(self, *argv: str) -> tuple[str, ...]:
        """Return a command that runs ``argv`` in the namespace; the process that runs it becomes ``argv``'s."""
        return ("nsenter", f"--net={self.namespace}", "--", *argv)

    async def open(self) -> None:
        """Make the namespace, the link and its routes."""
        await tool("ip", "netns", "add", self.name)
        await tool(*self.inside("ip", "link", "set", "lo", "up"))
        await self._lay()
        ends = (
            ((), self.near, self._near_address, self._far_address),
            (self.inside(), self.far, self._far_address, ""),
        )
        for where, device, address, peer in ends:
            await tool(*where, "ip", "link", "set", device, "up")
            await tool(*where, "ip", "address", "add", f"{address}/24", "dev", device)
            if not peer:
                await tool(*where, "ip", "route", "add", CLOUD_ADDRESS, "via", self._near_address, "dev", device)

    @abstractmethod
    async def _lay(self) -> None:
        """Make the two devices."""

    @abstractmethod
    async def impose(self, weather: Weather) -> None:
        """Change the weather from now on."""

    @abstractmethod
    async def close(self) -> None:
        """End what carries the link."""

    async def _filter(self, incoming: Sequence[str], outgoing: Sequence[str]) -> None:
        """Replace the namespace's packet filter, all at once."""
        rules = [*(f"-A INPUT -i {self.far} {rule}" for rule in incoming)]
        rules += [f"-A OUTPUT -o {self.far} {rule}" for rule in outgoing]
        table = "\n".join(("*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT", *rules, "COMMIT", ""))
        await tool(*self.inside("iptables-restore"), given=table)


_RESET = ("-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT")


class RelayedLink(Link):
    """Two TUN devices and a process between them.

    Args:
        name: Of the namespace.
        number: Tells the links' addresses apart.
        seed: Of all that happens to packets.
    """

    def __init__(self, name: str, number: int, seed: int) -> None:
        super().__init__(name, number)
        self.lost = 0
        self._seed = seed
        self._relay: asyncio.subprocess.Process | None = None
        self._rejects = False

    async def _lay(self) -> None:
        pipe = asyncio.subprocess.PIPE
        argv = (f"--near={self.near}", f"--far={self.far}", f"--namespace={self.namespace}", f"--seed={self._seed}")
        self._relay = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.tunrelay", *argv, stdin=pipe, stdout=pipe
        )
        await self._answer("ready")

    async def impose(self, weather: Weather) -> None:
        """Change the weather from now on."""
        assert self._relay is not None
        assert self._relay.stdin is not None
        line = json.dumps({"up": weather.up.plain(), "down": weather.down.plain()})
        self._relay.stdin.write(f"{line}\n".encode())
        self.lost = int((await self._answer("ok")).split()[1])
        if weather.reject or self._rejects:
            self._rejects = weather.reject
            await self._filter(*((_RESET, _RESET) if weather.reject else ((), ())))

    async def close(self) -> None:
        """End the relay."""
        if self._relay is not None and self._relay.returncode is None:
            assert self._relay.stdin is not None
            self._relay.stdin.close()
            await self._relay.wait()

    async def _answer(self, wanted: str) -> str:
        assert self._relay is not None
        assert self._relay.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = (await self._relay.stdout.readline()).decode()
        if not line.startswith(wanted):
            raise LabFailed(f"the relay of {self.name} said {line!r}, not {wanted!r}")
        return line


class WiredLink(Link):
    """A veth pair, with ``tbf`` for the rate and iptables for the rest."""

    async def _lay(self) -> None:
        await tool("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)

    async def impose(self, weather: Weather) -> None:
        """Change the weather from now on."""
        for way, where, device in ((weather.down, (), self.near), (weather.up, self.inside(), self.far)):
            await self._limit(where, device, way)
        if weather.reject:
            await self._filter(_RESET, _RESET)
        else:
            await self._filter(_losing(weather.down), _losing(weather.up))

    async def close(self) -> None:
        """Leave the devices to the namespaces they are in."""

    async def _limit(self, where: Sequence[str], device: str, how: Impairment) -> None:
        shaped = "tbf" in await tool(*where, "tc", "qdisc", "show", "dev", device)
        if how.rate_bit_s:
            rate = (f"rate {how.rate_bit_s:.0f}bit burst {_BURST_BYTES} limit {how.queue_bytes}").split()
            await tool(*where, "tc", "qdisc", "replace", "dev", device, "root", "tbf", *rate)
        elif shaped:
            await tool(*where, "tc", "qdisc", "del", "dev", device, "root")


def _losing(how: Impairment) -> tuple[str, ...]:
    if how.blocked:
        return ("-j DROP",)
    return (f"-m statistic --mode random --probability {how.loss:.4f} -j DROP",) if how.loss else ()
