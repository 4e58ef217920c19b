"""A network of the test's own, whose addresses it may change: this thread and what it starts live in it meanwhile."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

_CLONE_NEWNET: Final = 0x40000000
_DEVICE: Final = "uplink"


class OwnNetwork:
    """A network namespace with loopback and one device that leads nowhere.

    Args:
        name: The namespace's.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def move(self, address: str) -> None:
        """Give the device another address, as a DHCP server of another place would; empty for none."""
        self._ip("address", "flush", "dev", _DEVICE)
        if address:
            self._ip("address", "add", f"{address}/24", "dev", _DEVICE)
            self._ip("route", "replace", "default", "dev", _DEVICE)

    def _ip(self, *args: str) -> None:
        subprocess.run(["ip", "-n", self._name, *args], check=True, capture_output=True)


@contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """Move this thread into a network of its own; skip the test where that is not allowed."""
    name = f"aiok-test-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a network of the test's own cannot be made here: {error}")
    try:
        for words in (
            ("add", _DEVICE, "type", "veth", "peer", "name", "nowhere"),
            ("set", "lo", "up"),
            ("set", "nowhere", "up"),
            ("set", _DEVICE, "up"),
        ):
            subprocess.run(["ip", "-n", name, "link", *words], check=True)
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(f"/run/netns/{name}")
            yield OwnNetwork(name)
        finally:
            _enter(f"/proc/self/fd/{before}")
            os.close(before)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def _enter(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)
