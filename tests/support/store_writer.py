"""A process that writes to a store until it is killed: ``python -m tests.support.store_writer FILE``.

Prints a line for each acknowledged write, only then: ``put NAME REVISION``, ``delete NAME REVISION``,
``volatile NAME REVISION`` or ``reserve - REVISION``; and ``deleting NAME 0`` before it asks for a deletion.
"""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random

from cloudcore.store.base import Record, encode
from cloudcore.store.settings import StoreSettings
from cloudcore.store.sqlite import SqliteStore
from protocol.objects.keys import ObjectKey, Uid

WRITERS = 8


def say(verb: str, name: str, revision: int) -> None:
    os.write(sys.stdout.fileno(), f"{verb} {name} {revision}\n".encode())


async def write_for_ever(store: SqliteStore, worker: int, rng: Random) -> None:
    # Each worker has names of its own, so that what it was told last is what must be there.
    known = {record.key: record for record in (await store.list("pods", namespace=f"w{worker}")).records}
    while True:
        name = str(rng.randrange(20))
        key = ObjectKey("pods", f"w{worker}", name)
        tail = encode({"metadata": {"name": name}, "data": "x" * rng.randrange(2_000)})
        record: Record
        if key not in known:
            record = known[key] = await store.create(key, tail, uid=Uid(name))
            say("put", f"w{worker}/{name}", record.revision)
        elif (dice := rng.random()) < 0.2:
            say("deleting", f"w{worker}/{name}", 0)
            record = await store.delete(key, expected=known.pop(key).revision)
            say("delete", f"w{worker}/{name}", record.revision)
        elif dice < 0.4:
            say("reserve", "-", await store.reserve())
        elif dice < 0.5:
            record = known[key] = await store.update(key, tail, volatile=True)
            say("volatile", f"w{worker}/{name}", record.revision)
        else:
            record = known[key] = await store.update(key, tail)
            say("put", f"w{worker}/{name}", record.revision)


async def main() -> None:
    store = await SqliteStore.open(sys.argv[1], StoreSettings(max_group=5, revision_block=128))
    async with asyncio.TaskGroup() as workers:
        for worker in range(WRITERS):
            workers.create_task(write_for_ever(store, worker, Random(f"{store.revision}-{worker}")))


if __name__ == "__main__":
    asyncio.run(main())
