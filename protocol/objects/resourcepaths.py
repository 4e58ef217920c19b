"""The paths of the Kubernetes API, of the cloud's and of the device's: what a method and a path ask for. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """A path below ``/api/v1`` or ``/apis/<group>/<version>``, taken apart.

    Attributes:
        group: The API group; empty for the core group.
        version: The API version.
        resource: The plural resource name; empty for the group-version itself (its discovery document).
        namespace: Empty for cluster scope, and for requests over all namespaces.
        name: The object's name; empty for the collection.
        subresource: What follows the name, without the slash: ``status``, ``log``.
        tail: What follows ``proxy``: the path to pass on.
        watch: The deprecated ``/watch/`` prefix was used.
    """

    group: str
    version: str
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False
    tail: str = ""

    @property
    def group_resource(self) -> str:
        """The store's name for the resource: ``pods``, ``deployments.apps``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


def parse_path(path: str) -> ResourcePath | None:
    """Take a decoded URL path apart; None where it is not below a group-version."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 2 and parts[0] == "api":
        return _below("", parts[1], parts[2:])
    if len(parts) >= 3 and parts[0] == "apis":
        return _below(parts[1], parts[2], parts[3:])
    return None


def _below(group: str, version: str, parts: list[str]) -> ResourcePath:
    watch = len(parts) > 1 and parts[0] == "watch"
    if watch:
        parts = parts[1:]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, parts = parts[1], parts[2:]
    resource = parts[0] if parts else ""
    name = parts[1] if len(parts) > 1 else ""
    below, tail = parts[2:], ""
    if below[:1] == ["proxy"]:
        below, tail = below[:1], "/".join(below[1:])
    return ResourcePath(group, version, resource, namespace, name, "/".join(below), watch, tail)


def verb_of(method: str, path: ResourcePath, *, watch: bool) -> str | None:
    """Return the API verb of a request (``get``, ``list``, ``watch``, ``create``, ``deletecollection`` and so on).

    None where the method means nothing there: the server then answers 405.

    Args:
        method: The HTTP method.
        path: The parsed path.
        watch: The query asks to watch.
    """
    if method in {"GET", "HEAD"}:
        if (watch or path.watch) and not path.subresource:
            return "watch"
        return "get" if path.name else "list"
    if method == "DELETE":
        return "delete" if path.name else "deletecollection"
    verb = _VERBS.get(method)
    # POST makes something in a collection or below an object; PUT and PATCH speak of what is there.
    fits = (not path.name or path.subresource) if verb == "create" else path.name
    return verb if fits else None
