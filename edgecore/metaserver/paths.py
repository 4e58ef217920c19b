"""What a request asks for, read from its method and target alone. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from edgecore.metaserver.failures import Failure

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
_WRITES: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}
WRITE_VERBS: Final = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Place:
    """A path below ``/api/v1`` or ``/apis/<group>/<version>``.

    Attributes:
        group: The API group; empty for the core group.
        version: The API version.
        plural: The resource; empty for the group-version itself.
        namespace: Empty for cluster scope and for all namespaces.
        name: Empty for the collection.
        subresource: ``status``, ``log``…; empty for the object itself.
        watch: The deprecated ``/watch/`` prefix was used.
    """

    group: str
    version: str
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False

    @property
    def resource(self) -> str:
        """The group-resource: ``pods``, ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def place_of(path: str) -> Place | None:
    """Take a decoded path apart; None where it is not below a group-version."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 2 and parts[0] == "api":
        return _below("", parts[1], parts[2:])
    if len(parts) >= 3 and parts[0] == "apis":
        return _below(parts[1], parts[2], parts[3:])
    return None


def _below(group: str, version: str, parts: list[str]) -> Place:
    watch = len(parts) > 1 and parts[0] == "watch"
    if watch:
        parts = parts[1:]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in {"status", "finalize"}:
        namespace, parts = parts[1], parts[2:]
    plural, name, *rest = [*parts, "", ""][: max(len(parts), 2)]
    return Place(group, version, plural, namespace, name, "/".join(rest), watch)


@dataclass(frozen=True, slots=True)
class Query:
    """A request's parameters; of a repeated one the last counts."""

    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a parameter, empty where it is absent."""
        return self.values.get(name, "")

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false.

        Raises:
            Failure: It is neither.
        """
        value = self.text(name)
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise Failure("BadRequest", f'{name}: invalid value: "{value}": must be true or false')

    def number(self, name: str) -> int:
        """Return a whole number, 0 where it is absent.

        Raises:
            Failure: It is none.
        """
        value = self.text(name) or "0"
        if not (value.isascii() and value.isdigit() and len(value) <= 19):
            raise Failure("BadRequest", f'{name}: invalid value: "{value}": must be a whole number, not negative')
        return int(value)


def split_target(target: str) -> tuple[str, Query]:
    """Split a request's target into its decoded path and its query."""
    path, _, query = target.partition("?")
    return unquote(path), Query(dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100)))


def verb_of(method: str, place: Place, query: Query) -> str:
    """Return the API verb of a request: ``get``, ``list``, ``watch``, ``create`` and so on.

    Raises:
        Failure: The method means nothing there.
    """
    if method in {"GET", "HEAD"}:
        if (place.watch or query.flag("watch")) and not place.subresource:
            return "watch"
        return "get" if place.name else "list"
    if method == "DELETE":
        return "delete" if place.name else "deletecollection"
    verb = _WRITES.get(method, "")
    fits = (not place.name or place.subresource) if verb == "create" else place.name
    if not verb or not fits:
        raise Failure("MethodNotAllowed", "the server does not allow this method on the requested resource")
    return verb
