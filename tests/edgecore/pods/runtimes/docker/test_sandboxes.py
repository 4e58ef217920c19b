from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from edgecore.pods.runtimes.base import StartRefused
from edgecore.pods.runtimes.docker.configs import HostResolver
from edgecore.pods.runtimes.docker.engine import Engine, EngineError
from edgecore.pods.runtimes.docker.sandboxes import Sandboxes
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid

pytestmark = pytest.mark.looptime


class Confined:
    """An engine that may not lower ``oom_score_adj``, and takes a second to start anything.

    Args:
        broken: Whether it starts nothing whatever it is asked for.
    """

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.scores: dict[str, int] = {}
        self.attempts = 0

    async def create(self, config: Mapping[str, Any], name: str) -> str:
        self.scores[name] = config["HostConfig"]["OomScoreAdj"]
        return name

    async def start(self, name: str) -> None:
        self.attempts += 1
        await asyncio.sleep(1)
        if self.broken or self.scores[name] < 0:
            raise EngineError(500, "can't get final child's PID from pipe")

    async def remove(self, name: str) -> None:
        del self.scores[name]

    async def inspect(self, name: str) -> Mapping[str, Any] | None:
        return {"Id": name, "State": {"Running": True}, "NetworkSettings": {}} if name in self.scores else None


def sandboxes(engine: Confined) -> Sandboxes:
    settings = DockerSettings(host="", owner="node", root=Path("/nowhere"))
    return Sandboxes(cast(Engine, engine), settings, HostResolver)


async def test_pods_that_start_at_once_all_learn_what_the_engine_may_not_do() -> None:
    engine = Confined()
    some = sandboxes(engine)
    specs = [SandboxSpec(Uid(f"uid-{number}"), "default", f"web-{number}") for number in range(3)]
    await asyncio.gather(*(some.ensure(spec, "pause") for spec in specs))
    assert set(engine.scores.values()) == {0}
    assert engine.attempts == 6
    await some.ensure(SandboxSpec(Uid("uid-9"), "default", "later"), "pause")
    assert engine.attempts == 7


async def test_an_engine_that_starts_nothing_is_not_blamed_for_its_rights() -> None:
    some = sandboxes(Confined(broken=True))
    with pytest.raises(StartRefused, match="final child"):
        await some.ensure(SandboxSpec(Uid("uid-1"), "default", "web"), "pause")
    assert some.oom_floor < 0
