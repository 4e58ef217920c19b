"""What is wrong with a URL or a host that a person configured, before anything waits for an answer from it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

_UNFIT: Final = re.compile(r"[\s\x00-\x1f]")
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME: Final = 253


def fault_of_url(url: str) -> str | None:
    """Return what keeps ``url`` from being one that HTTP requests can go to; None where nothing does."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in {"http", "https"} or not parts.hostname or _UNFIT.search(url) or port == 0:
        return "a URL such as https://HOST:PORT is needed"
    return None


def fault_of_host(host: str) -> str | None:
    """Return what keeps ``host`` from being a host name or an IP address by itself; None where nothing does.

    Source: RFC 1123, 2.1, with underscores, which networks of containers have in their names.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        named = all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
        if named and len(host) <= _LONGEST_NAME:
            return None
        return "host names and IP addresses are needed, without scheme, port or spaces"
    return "an address without a zone is needed" if "%" in host else None
