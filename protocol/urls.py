"""What is wrong with a URL that a person configured, before anything waits for an answer from it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_UNFIT: Final = re.compile(r"[\s\x00-\x1f]")


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
