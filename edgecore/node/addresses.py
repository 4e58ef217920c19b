"""Addresses of this device that its containers reach it by."""

from __future__ import annotations

import socket
from typing import Final

import psutil

_BRIDGES: Final = {"bridge": ("docker0",), "podman": ("podman0", "cni-podman0")}


def bridge_address(network: str) -> str:
    """Return the device's own IPv4 address on the default bridge of a container engine; empty where it has none.

    Args:
        network: The engine's network that pods are in. Bridges of other networks have names that only the engine knows.
    """
    interfaces = psutil.net_if_addrs()
    for bridge in _BRIDGES.get(network, ()):
        for address in interfaces.get(bridge, ()):
            if address.family is socket.AF_INET:
                return str(address.address)
    return ""
