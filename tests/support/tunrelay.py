"""A bad cable: a process that carries IP packets between two TUN devices and mistreats them on the way.

It makes one device in the namespace it is started in and one in another, then relays. Each line on standard input is
a JSON object ``{"up": {…}, "down": {…}}`` with the fields of :class:`Impairment`; each is answered by a line
``ok LOST`` with the packets lost so far. It ends when standard input does. ``up`` is from the far device to the near
one: from an edge to the cloud.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import select
import struct
import sys
import time
from collections.abc import Sequence
from random import Random

from tests.support.impairments import Impairment, Lane

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
PACKET_BYTES = 65536
BURST = 64


def open_tun(name: str) -> int:
    """Make a TUN device in this process' network namespace and return its descriptor, non-blocking."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


def enter_namespace(path: str) -> None:
    """Move this thread into the network namespace at ``path``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(descriptor)


class Relay:
    """Two devices and what is under way between them.

    Args:
        near: Descriptor of the device on the cloud's side.
        far: Descriptor of the device on the edge's side.
        seed: Of all that happens to packets.
    """

    def __init__(self, near: int, far: int, seed: int) -> None:
        self.lanes = {"up": Lane(Random(f"{seed} up")), "down": Lane(Random(f"{seed} down"))}
        self._ways = {far: (self.lanes["up"], near), near: (self.lanes["down"], far)}
        self._commands = b""

    def run(self) -> None:
        """Relay until standard input ends."""
        poll = select.poll()
        for descriptor in (*self._ways, sys.stdin.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(self._timeout_ms()):
                if descriptor != sys.stdin.fileno():
                    self._take(descriptor)
                elif not self._obey():
                    return
            self._deliver()

    def _timeout_ms(self) -> float | None:
        arrivals = [due for lane in self.lanes.values() if (due := lane.next_arrival()) is not None]
        # Rounded up: a poll that ends just before the time would spin.
        return max(0.0, (min(arrivals) - time.monotonic()) * 1000 + 1) if arrivals else None

    def _take(self, descriptor: int) -> None:
        lane, now = self._ways[descriptor][0], time.monotonic()
        for _ in range(BURST):
            try:
                lane.push(os.read(descriptor, PACKET_BYTES), now)
            except BlockingIOError:
                return

    def _deliver(self) -> None:
        now = time.monotonic()
        for lane, target in self._ways.values():
            for packet in lane.pop(now):
                try:
                    os.write(target, packet)
                except OSError:
                    lane.lost += 1  # the device's queue is full, or it is down

    def _obey(self) -> bool:
        chunk = os.read(sys.stdin.fileno(), 65536)
        *lines, self._commands = (self._commands + chunk).split(b"\n")
        for line in lines:
            for way, plain in json.loads(line).items():
                self.lanes[way].impose(Impairment(**plain))
            print("ok", sum(lane.lost for lane in self.lanes.values()), flush=True)  # noqa: T201 - the answer
        return bool(chunk)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the devices, say ``ready``, and relay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--near", required=True, help="name of the device in this namespace")
    parser.add_argument("--far", required=True, help="name of the device in the other namespace")
    parser.add_argument("--namespace", required=True, help="path of the other namespace")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args(arguments)
    near = open_tun(given.near)
    enter_namespace(given.namespace)
    relay = Relay(near, open_tun(given.far), given.seed)
    print("ready", flush=True)  # noqa: T201 - the starter waits for it
    relay.run()


if __name__ == "__main__":
    main()
