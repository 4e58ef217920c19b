"""Slow start: do something many times, beginning with one, doubling while all goes well.

When the API turns creations away (a quota, a full queue), this costs a few failed calls instead of hundreds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from cloudcore.errors import ApiError

BURST = 500
"""The most that one reconcile creates or deletes; the rest follows with the next one."""


async def slow_start(count: int, action: Callable[[int], Awaitable[None]]) -> tuple[int, ApiError | None]:
    """Run ``action(0) … action(count - 1)`` in batches of 1, 2, 4, …, stopping after a batch with a failure.

    Returns:
        How many succeeded, and the first failure, if any.
    """
    succeeded, size = 0, 1
    while succeeded < count:
        batch = range(succeeded, min(count, succeeded + size))
        failures = await all_at_once([partial(action, number) for number in batch])
        succeeded += len(batch) - len(failures)
        if failures:
            return succeeded, failures[0]
        size *= 2
    return succeeded, None


async def all_at_once(actions: list[Callable[[], Awaitable[None]]]) -> list[ApiError]:
    """Run ``actions`` concurrently and return what API errors they raised."""
    failures: list[ApiError] = []

    async def attempt(action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except ApiError as error:
            failures.append(error)

    async with asyncio.TaskGroup() as group:
        for action in actions:
            group.create_task(attempt(action))
    return failures
