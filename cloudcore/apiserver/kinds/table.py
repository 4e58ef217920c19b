"""The table of kinds: which kinds this API server has, found by resource or by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import NotFound

Follower = Callable[[str], None]
"""Called with a group-resource whose rows have come, changed or gone."""


class KindTable:
    """Finds kinds. Rows are kept in the order given: discovery lists them so.

    Custom kinds come and go while others read (some on threads): a change makes new indexes and puts them in the
    old ones' place, so that whoever iterates sees one state of the table.

    Args:
        rows: The kinds.
    """

    def __init__(self, rows: Iterable[Kind]) -> None:
        self._followers: list[Follower] = []
        self._index(tuple(rows))

    def _index(self, rows: tuple[Kind, ...]) -> None:
        self._rows = rows
        self._served = tuple(row for row in rows if row.served)
        self._by_resource = {row.resource: row.stored for row in rows}
        self._by_path = {(row.group, row.version, row.plural): row for row in self._served}
        self._by_kind = {(row.api_version, row.kind): row for row in self._served}

    def __iter__(self) -> Iterator[Kind]:
        """Iterate over the rows, each version that is served."""
        return iter(self._served)

    def replace(self, resource: str, rows: Sequence[Kind]) -> None:
        """Put ``rows`` in the place of those of ``resource``, or behind all others; none takes the resource away."""
        kept = [row for row in self._rows if row.resource != resource]
        at = next((index for index, row in enumerate(self._rows) if row.resource == resource), len(kept))
        self._index((*kept[:at], *rows, *kept[at:]))
        for follower in self._followers:
            follower(resource)

    def follow(self, follower: Follower) -> None:
        """Call ``follower`` after every change of the table."""
        self._followers.append(follower)

    @property
    def kept(self) -> Sequence[Kind]:
        """The rows under which objects are kept: one for each kind, whatever the versions it is served in."""
        return tuple(row for row in self._rows if row.conversion is None)

    def __contains__(self, resource: object) -> bool:
        """Tell whether there is a row for a group-resource."""
        return resource in self._by_resource

    def of(self, resource: str) -> Kind:
        """Return the row under which objects of a group-resource (``deployments.apps``) are kept.

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
        """Return the row under which objects of an ``apiVersion`` and ``kind`` are kept, or None."""
        row = self._by_kind.get((api_version, kind))
        return None if row is None else row.stored

    def served(self, api_version: str, kind: str) -> Kind | None:
        """Return the row of an ``apiVersion`` and ``kind`` as it is served, or None."""
        return self._by_kind.get((api_version, kind))
