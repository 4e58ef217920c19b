"""Which resources an API server has, and where. Learned group by group, when a group is first spoken of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from cloudcore.errors import NotFound
from protocol.objects.keys import Body


class Requests(Protocol):
    """What discovery needs of a session."""

    async def call(self, method: str, path: str) -> Body:
        """Send a request and return its answer."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource in the version that is spoken.

    Attributes:
        name: The group-resource: ``deployments.apps``.
        plural: ``deployments``.
        kind: ``Deployment``.
        api_version: ``apps/v1``.
        namespaced: Whether its objects live in namespaces.
        verbs: What may be done with it.
        subresources: The names of its subresources.
    """

    name: str
    plural: str
    kind: str
    api_version: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    subresources: frozenset[str] = field(default_factory=frozenset)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or a part of one, without a slash at its beginning."""
        root = f"apis/{self.api_version}" if "/" in self.api_version else f"api/{self.api_version}"
        place = f"namespaces/{_quoted(namespace)}" if namespace and self.namespaced else ""
        return "/".join(part for part in (root, place, self.plural, _quoted(name), subresource) if part)


def _quoted(name: str) -> str:
    """Return a name as it stands in a path. People type names: one with ``?`` or ``/`` must not ask for another."""
    return quote(name, safe=":")


class Discovery:
    """The resources of one API server.

    A group's resources are asked for once and asked for again when one is missing: definitions come later.

    Args:
        requests: The session.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._known: dict[str, Resource] = {}
        self._asking = asyncio.Lock()

    async def of(self, resource: str) -> Resource:
        """Return the row of a group-resource, in the server's preferred version that has it.

        Raises:
            NotFound: The server has no such resource.
            ApiError: It could not be asked.
        """
        known = self._known.get(resource)
        if known is not None:
            return known
        async with self._asking:
            if resource not in self._known:
                await self._learn(resource.partition(".")[2])
        try:
            return self._known[resource]
        except KeyError:
            raise NotFound(f"the API server has no resource {resource}") from None

    async def _learn(self, group: str) -> None:
        try:
            versions = await self._versions(group)
            for version in reversed(versions):  # the preferred one comes last and stays
                root = f"apis/{version}" if group else f"api/{version}"
                document = await self._requests.call("GET", root)
                self._known.update(rows_of(group, version, document.get("resources") or ()))
        except NotFound:
            return  # the server has no such group

    async def _versions(self, group: str) -> list[str]:
        """Return the ``apiVersion``s of a group, the preferred one first."""
        if not group:
            return ["v1"]
        document = await self._requests.call("GET", f"apis/{group}")
        preferred = (document.get("preferredVersion") or {}).get("groupVersion")
        all_of_them = [version["groupVersion"] for version in document.get("versions") or ()]
        return sorted(all_of_them, key=lambda version: bool(version != preferred))


def rows_of(group: str, api_version: str, resources: Iterable[Body]) -> Mapping[str, Resource]:
    """Return the rows of an ``APIResourceList`` by group-resource."""
    listed: list[dict[str, Any]] = list(resources)
    subresources: dict[str, set[str]] = {}
    for entry in listed:
        plural, _, subresource = entry["name"].partition("/")
        if subresource:
            subresources.setdefault(plural, set()).add(subresource)
    rows: dict[str, Resource] = {}
    for entry in listed:
        plural = entry["name"]
        if "/" not in plural:
            name = f"{plural}.{group}" if group else plural
            rows[name] = Resource(
                name,
                plural,
                entry.get("kind", ""),
                api_version,
                bool(entry.get("namespaced")),
                frozenset(entry.get("verbs") or ()),
                frozenset(subresources.get(plural, ())),
            )
    return rows
