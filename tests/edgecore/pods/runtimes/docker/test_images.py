from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, StartRefused
from edgecore.pods.runtimes.docker import pause
from edgecore.pods.runtimes.docker.engine import About, Engine, EngineError
from edgecore.pods.runtimes.docker.images import Images
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import Credentials, PullPolicy
from protocol.objects.keys import Uid

pytestmark = pytest.mark.looptime

NAME = "registry.test/app:1"
ABOUT = About("1", "amd64", podman=False, folder="/")


class Registry:
    """An engine that knows images and one registry that has ``holds``."""

    def __init__(self, *present: str, holds: tuple[str, ...] = (NAME,)) -> None:
        self.present = set(present)
        self.holds = holds
        self.failure: EngineError | None = None
        self.password = ""
        self.pulled: list[str] = []
        self.tried: list[str] = []
        self.stalls = False

    async def image(self, name: str) -> Mapping[str, Any] | None:
        return {"Id": f"sha256:{name}", "Size": 7} if name in self.present else None

    async def pull(self, name: str, auth: Mapping[str, str] | None) -> AsyncGenerator[Mapping[str, Any], None]:
        self.tried.append((auth or {}).get("password", ""))
        yield {"status": "Pulling"}
        await asyncio.sleep(1)
        if self.stalls:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        if self.password != (auth or {}).get("password", ""):
            raise EngineError(500, "unauthorized: authentication required")
        if name not in self.holds:
            raise EngineError(404, "manifest unknown")
        self.pulled.append(name)
        self.present.add(name)

    async def load(self, archive: bytes) -> None:
        self.present.add(pause.NAME)


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, bool]] = []

    async def __call__(self, reason: str, message: str, warning: bool) -> None:
        self.events.append((reason, warning))


def images(registry: Registry, **fields: Any) -> Images:
    settings = DockerSettings("unix:///x", "o", Path("/r"), **fields)
    return Images(cast(Engine, registry), settings)


def spec(policy: PullPolicy = "IfNotPresent", image: str = NAME, *credentials: Credentials) -> ContainerSpec:
    container = ContainerId(Uid("u"), "c", 0)
    return ContainerSpec(container, "", "", image, (), pull_policy=policy, credentials=credentials)


@pytest.mark.parametrize(
    ("policy", "present", "pulls", "said"),
    [
        ("IfNotPresent", True, 0, [("Pulled", False)]),
        ("IfNotPresent", False, 1, [("Pulling", False), ("Pulled", False)]),
        ("Always", True, 1, [("Pulling", False), ("Pulled", False)]),
        ("Never", True, 0, [("Pulled", False)]),
    ],
)
async def test_policies(policy: PullPolicy, present: bool, pulls: int, said: list[tuple[str, bool]]) -> None:
    registry, told = Registry(*([NAME] if present else [])), Told()
    found = await images(registry).ensure(spec(policy), told)
    assert (found["Id"], len(registry.pulled), told.events) == (f"sha256:{NAME}", pulls, said)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (spec("Never"), "ErrImageNeverPull"),
        (spec(image="Not/A Name"), "InvalidImageName"),
        (spec(image="registry.test/other:1"), "ErrImagePull"),
    ],
)
async def test_refusals(wanted: ContainerSpec, reason: str) -> None:
    with pytest.raises(StartRefused) as refusal:
        await images(Registry()).ensure(wanted, Told())
    assert refusal.value.reason == reason


async def test_a_pull_that_makes_no_progress_is_given_up() -> None:
    registry = Registry()
    registry.stalls = True
    with pytest.raises(StartRefused, match="no progress for 60 s"):
        await images(registry).ensure(spec(), Told())


async def test_credentials_are_tried_in_turn() -> None:
    registry = Registry()
    registry.password = "right"
    held = [Credentials("registry.test", "u", word) for word in ("wrong", "right", "spare")]
    await images(registry).ensure(spec("IfNotPresent", NAME, *held), Told())
    assert registry.tried == ["wrong", "right"]


async def test_without_credentials_one_asks_without() -> None:
    registry = Registry()
    registry.password = "needed"
    with pytest.raises(StartRefused, match="unauthorized"):
        await images(registry).ensure(spec(), Told())
    assert registry.tried == [""]


async def test_a_registry_that_cannot_be_reached_stops_no_device_that_has_the_image() -> None:
    registry, told = Registry(NAME), Told()
    registry.failure = EngineError(500, "dial tcp: lookup registry.test: no such host")
    await images(registry).ensure(spec("Always"), told)
    assert told.events == [("Pulling", False), ("PullFallback", True)]


async def test_a_registry_that_says_no_is_obeyed() -> None:
    registry = Registry(NAME)
    registry.failure = EngineError(500, "pull access denied")
    with pytest.raises(StartRefused, match="denied"):
        await images(registry).ensure(spec("Always"), Told())


async def test_ten_pods_fetch_an_image_once() -> None:
    registry = Registry()
    fetching = images(registry)
    await asyncio.gather(*(fetching.ensure(spec(), Told()) for _ in range(10)))
    assert registry.pulled == [NAME]


async def test_so_many_pulls_at_once_and_no_more() -> None:
    names = tuple(f"registry.test/app:{number}" for number in range(6))
    registry = Registry(holds=names)
    fetching = images(registry, pulls=2)
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(fetching.ensure(spec(image=name), Told()) for name in names))
    assert asyncio.get_running_loop().time() - began == pytest.approx(3)


async def test_the_sandboxes_image_is_made_where_the_settings_name_none() -> None:
    registry = Registry()
    assert await images(registry).ensure_pause(ABOUT) == pause.NAME
    assert pause.NAME in registry.present


async def test_the_sandboxes_image_of_the_settings_is_pulled() -> None:
    registry = Registry()
    assert await images(registry, pause_image=NAME).ensure_pause(ABOUT) == NAME
    with pytest.raises(StartRefused, match="no image for sandboxes"):
        await images(Registry(), pause_image="registry.test/none:1").ensure_pause(ABOUT)
    with pytest.raises(StartRefused, match="riscv64"):
        await images(Registry()).ensure_pause(About("1", "riscv64", podman=False, folder="/"))
