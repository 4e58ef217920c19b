"""Built-in dictionaries of the codec ``ZSTD_DICTIONARY``: what batches of Kubernetes objects have in common.

A dictionary that has been released is part of the wire: its file and its number never change. A better one gets the
next number and a file of its own; ends tell each other which ones they have, and use the newest that both have.
Files are loaded on first use.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

FIRST_ID: Final = 40_001
"""Numbers below 32,768 and above 2³¹ are reserved by zstd's format."""

FILES: Final = {FIRST_ID: "kubernetes-1.zdict"}
KNOWN: Final = frozenset(FILES)


@cache
def dictionary_bytes(number: int) -> bytes:
    """Return the file of a dictionary.

    Raises:
        KeyError: There is none of that number here.
    """
    return (files(__package__) / FILES[number]).read_bytes()
