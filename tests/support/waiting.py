"""Wait for a condition in real time, where virtual time cannot reach (threads, SQLite, other processes)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_S = 0.02


class DeadlinePassed(AssertionError):
    """The condition did not come true in time."""


def eventually(predicate: Callable[[], T], *, within_s: float = 20.0, what: str = "") -> T:
    """Poll ``predicate`` until it returns something true, and return that.

    Raises:
        DeadlinePassed: It did not within ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DeadlinePassed(what or f"{predicate} still {value!r} after {within_s} s")
        pause.wait(POLL_S)


@overload
async def aeventually(predicate: Callable[[], Awaitable[T]], *, within_s: float = ..., what: str = ...) -> T: ...
@overload
async def aeventually(predicate: Callable[[], T], *, within_s: float = ..., what: str = ...) -> T: ...
async def aeventually(
    predicate: Callable[[], T] | Callable[[], Awaitable[T]], *, within_s: float = 20.0, what: str = ""
) -> T:
    """Poll ``predicate`` (plain or async) on the running loop until it returns something true, and return that.

    Raises:
        DeadlinePassed: It did not within ``within_s`` seconds of the loop's clock.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        result = predicate()
        value: T = await result if isinstance(result, Awaitable) else result
        if value:
            return value
        if loop.time() > deadline:
            raise DeadlinePassed(what or f"{predicate} still {value!r} after {within_s} s")
        woken = asyncio.Event()
        loop.call_later(POLL_S, woken.set)
        await woken.wait()
