"""The table of kinds: which kinds this API server has, found by resource or by kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import NotFound


class KindTable:
    """Finds kinds. Rows are kept in the order given: discovery lists them so.

    Args:
        rows: The kinds.
    """

    def __init__(self, rows: Iterable[Kind]) -> None:
        self._by_resource = {row.resource: row for row in rows}
        self._by_path = {(row.group, row.version, row.plural): row for row in self._by_resource.values()}
        self._by_kind = {(row.api_version, row.kind): row for row in self._by_resource.values()}

    def __iter__(self) -> Iterator[Kind]:
        """Iterate over the rows."""
        return iter(self._by_resource.values())

    def __contains__(self, resource: object) -> bool:
        """Tell whether there is a row for a group-resource."""
        return resource in self._by_resource

    def of(self, resource: str) -> Kind:
        """Return the row of a group-resource (``deployments.apps``).

        Raises:
            NotFound: There is no such resource.
        """
        try:
            return self._by_resource[resource]
        except KeyError:
            raise NotFound("the server could not find the requested resource") from None

    def at(self, group: str, version: str, plural: str) -> Kind:
        """Return the row served at a path.

        Raises:
            NotFound: There is no such resource.
        """
        try:
            return self._by_path[group, version, plural]
        except KeyError:
            raise NotFound("the server could not find the requested resource") from None

    def for_kind(self, api_version: str, kind: str) -> Kind | None:
        """Return the row for an object's ``apiVersion`` and ``kind``, or None."""
        return self._by_kind.get((api_version, kind))
