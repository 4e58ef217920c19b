"""Measures both kinds of link of the fault lab in all sorts of weather, inside namespaces of its own.

Prints one JSON object: by kind of link and name of the weather, what :mod:`tests.support.netprobe` found. With
``--hang`` it opens its links, says so and waits, to be killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.support.impairments import Impairment
from tests.support.netlab import CLOUD_ADDRESS, FINE, Link, RelayedLink, Weather, WiredLink, prepare, tool
from tests.support.netprobe import Echo

_WEATHERS = {
    "fine": FINE,
    "lossy": Weather(Impairment(loss=0.2), Impairment(loss=0.2)),
    "far": Weather(Impairment(delay_s=0.1), Impairment(delay_s=0.2)),
    "disorderly": Weather(up=Impairment(delay_s=0.02, reorder=0.3, duplicate=0.3)),
    "thin": Weather(down=Impairment(rate_bit_s=64_000)),
    "nothing comes down": Weather(down=Impairment(blocked=True)),
    "nothing goes up": Weather(up=Impairment(blocked=True)),
    "reset": Weather(reject=True),
    "fine again": FINE,
}


async def _measured(link: Link, port: int) -> dict[str, Any]:
    found = {}
    probe = link.inside(sys.executable, "-m", "tests.support.netprobe", CLOUD_ADDRESS, str(port))
    for name, weather in _WEATHERS.items():
        await link.impose(weather)
        found[name] = json.loads(await tool(*probe))
    return found


async def main() -> None:
    """Measure."""
    await prepare()
    links: dict[str, Link] = {"relayed": RelayedLink("e1", 1, seed=1), "wired": WiredLink("e2", 2)}
    for link in links.values():
        await link.open()
    if "--hang" in sys.argv:
        print("open", flush=True)  # noqa: T201 - the starter waits for it
        await asyncio.get_running_loop().create_future()
    with Echo(CLOUD_ADDRESS) as echo:
        async with asyncio.TaskGroup() as tasks:
            found = {kind: tasks.create_task(_measured(link, echo.port), name=kind) for kind, link in links.items()}
    print(json.dumps({kind: each.result() for kind, each in found.items()}))  # noqa: T201 - the answer
    for link in links.values():
        await link.close()


if __name__ == "__main__":
    asyncio.run(main())
