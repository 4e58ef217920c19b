"""Images: there when a container needs them, by its pull policy; events and reasons as the kubelet has them.

Concurrency: pulls of one image wait for one another, so that ten pods fetch it once; of different images, a bounded
number goes on at once and the rest waits in line.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final
from weakref import WeakValueDictionary

from edgecore.pods.runtimes.base import ContainerSpec, RuntimeUnavailable, StartRefused, Teller
from edgecore.pods.runtimes.docker import pause
from edgecore.pods.runtimes.docker.engine import About, Answer, Engine, EngineError
from edgecore.pods.runtimes.docker.references import (
    DOCKER_HUB,
    InvalidReference,
    Reference,
    credentials_for,
    parse,
)
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import Credentials

_HUB_ADDRESS: Final = "https://index.docker.io/v1/"
_REFUSALS: Final = ("unauthorized", "denied", "forbidden", "not found", "manifest unknown", "no basic auth")
_LONGEST: Final = 700


class Images:
    """Fetches images.

    Args:
        engine: The engine.
        settings: The runtime's settings.
    """

    def __init__(self, engine: Engine, settings: DockerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.pulls)
        # Gone as soon as nobody holds or waits for one.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure(self, spec: ContainerSpec, tell: Teller) -> Answer:
        """Return all about the container's image, which is here then.

        Raises:
            StartRefused: Its name is no name, or it cannot be had; the reason is the kubelet's.
            OSError: The engine failed.
        """
        try:
            reference = parse(spec.image)
        except InvalidReference as error:
            message = f'Failed to apply default image tag "{spec.image}": couldn\'t parse image name "{spec.image}": '
            raise StartRefused("InvalidImageName", f"{message}{error}") from None
        name = reference.canonical
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            found = await self._engine.image(name)
            if spec.pull_policy == "Never" and found is None:
                message = f'Container image "{spec.image}" is not present with pull policy of Never'
                await tell("ErrImageNeverPull", message, True)
                raise StartRefused("ErrImageNeverPull", message)
            if spec.pull_policy == "Always" or found is None:
                found = await self._fetch(spec, reference, found, tell)
            else:
                await tell("Pulled", f'Container image "{spec.image}" already present on machine', False)
        return found

    async def _fetch(self, spec: ContainerSpec, reference: Reference, present: Answer | None, tell: Teller) -> Answer:
        await tell("Pulling", f'Pulling image "{spec.image}"', False)
        began = time.monotonic()
        try:
            async with self._slots:
                await self._pull(reference, credentials_for(reference, spec.credentials))
        except EngineError as error:
            why = error.message[:_LONGEST]
            if present is not None and not _is_refusal(error):
                # The link to the registry is down, not the right to the image: a device goes on with what it has.
                message = f'Registry of image "{spec.image}" cannot be reached, using the one on this machine: {why}'
                await tell("PullFallback", message, True)
                return present
            await tell("Failed", f'Failed to pull image "{spec.image}": {why}', True)
            raise StartRefused("ErrImagePull", why) from None
        found = await self._engine.image(reference.canonical)
        if found is None:
            raise StartRefused("ErrImagePull", "the image was fetched, and is not there")
        took = f"{time.monotonic() - began:.3f}s"
        size = f"Image size: {found.get('Size', 0)} bytes."
        await tell("Pulled", f'Successfully pulled image "{spec.image}" in {took}. {size}', False)
        return found

    async def _pull(self, reference: Reference, credentials: list[Credentials]) -> None:
        """Pull with each of the credentials in turn, then with none.

        Raises:
            EngineError: The last failure.
        """
        tries = [_auth(one, reference) for one in credentials]
        for auth in [*tries, None] if not tries else tries:
            try:
                return await self._pull_once(reference.canonical, auth)
            except EngineError as error:
                failure = error
                if not _is_refusal(error):
                    break
        raise failure

    async def _pull_once(self, name: str, auth: dict[str, str] | None) -> None:
        stream = self._engine.pull(name, auth)
        try:
            while True:
                async with asyncio.timeout(self._settings.pull_stall_s):
                    if await anext(stream, None) is None:
                        return
        except TimeoutError:
            raise EngineError(504, f"the pull made no progress for {self._settings.pull_stall_s:.0f} s") from None
        finally:
            await stream.aclose()

    async def ensure_pause(self, about: About) -> str:
        """Return the name of the sandboxes' image, which is here then: the one in the settings, or our own.

        Raises:
            StartRefused: It cannot be had.
        """
        name = self._settings.pause_image or pause.NAME
        if await self._engine.image(name) is not None:
            return name
        try:
            if self._settings.pause_image:
                await self._pull(parse(name), [])
            else:
                await self._engine.load(pause.image(about.architecture))
        except RuntimeUnavailable:
            raise
        except (InvalidReference, EngineError, pause.UnknownArchitecture) as error:
            raise StartRefused("CreatePodSandboxError", f"no image for sandboxes ({name}): {error}") from None
        return name


def _auth(credentials: Credentials, reference: Reference) -> dict[str, str]:
    address = _HUB_ADDRESS if reference.registry == DOCKER_HUB else reference.registry
    if credentials.identity_token:
        return {"identitytoken": credentials.identity_token, "serveraddress": address}
    return {"username": credentials.username, "password": credentials.password, "serveraddress": address}


def _is_refusal(error: EngineError) -> bool:
    """Tell whether the registry answered with a no, and not just failed to answer."""
    text = error.message.lower()
    return error.status < 500 or any(word in text for word in _REFUSALS)
