"""The rules of a role, and what they match: the same on the cloud and on a device that is cut off from it. Pure.

Source: Kubernetes ``pkg/apis/rbac/v1/evaluation_helpers.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final, Protocol

from protocol.objects.keys import Body

ALL: Final = "*"


class Asked(Protocol):
    """What a request would do: either something with a resource, or something with a path."""

    @property
    def verb(self) -> str:
        """``get``, ``list``, …; for a path the HTTP method in lower case."""

    @property
    def group(self) -> str:
        """The API group; empty for the core."""

    @property
    def resource(self) -> str:
        """The plural; empty for a path."""

    @property
    def subresource(self) -> str:
        """Empty for the object itself."""

    @property
    def name(self) -> str:
        """Empty for a collection."""

    @property
    def path(self) -> str:
        """Empty for a resource."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: it allows each of its verbs on each of its resources, or on each of its paths.

    Attributes:
        verbs: What may be done; ``*`` is everything.
        groups: API groups; ``*`` is all of them.
        resources: ``pods``, ``pods/log``, ``*/scale``, ``*``.
        names: The objects; none stands for all.
        paths: Paths that are no resource's; ``/healthz/*`` is all below, ``*`` every path.
    """

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: Body) -> Rule:
        """Return a rule as a role has it."""
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(tuple(body.get(name) or ()) for name in fields))

    @property
    def body(self) -> Body:
        """The rule as a role has it, without what it leaves out."""
        said = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.paths,
        }
        return {name: list(values) for name, values in said.items() if values}

    def __str__(self) -> str:
        """Return the rule as Kubernetes prints it in messages: ``{APIGroups:[""], Resources:["pods"], …}``."""
        parts = {
            "APIGroups": self.groups,
            "Resources": self.resources,
            "ResourceNames": self.names,
            "NonResourceURLs": self.paths,
            "Verbs": self.verbs,
        }
        shown = (f"{name}:[{', '.join(map(_quoted, values))}]" for name, values in parts.items() if values)
        return "{" + ", ".join(shown) + "}"


class RuleSet:
    """The rules of one role, arranged so that a question costs a few look-ups however many rules there are.

    Args:
        rules: The rules.

    Attributes:
        rules: The rules.
        named: Whether any of them is for certain names only.
    """

    __slots__ = ("_paths", "_resources", "named", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.named = any(rule.names for rule in self.rules)
        # By verb, group and resource: the names that are allowed; None stands for all of them.
        self._resources: dict[tuple[str, str, str], frozenset[str] | None] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        for rule in self.rules:
            self._arrange(rule)

    def _arrange(self, rule: Rule) -> None:
        for key in product(rule.verbs, rule.groups, rule.resources):
            present = self._resources.get(key, frozenset())
            self._resources[key] = None if present is None or not rule.names else present | set(rule.names)
        for verb in rule.verbs if rule.paths else ():
            self._paths[verb] = (*self._paths.get(verb, ()), *rule.paths)

    def allows(self, asked: Asked) -> bool:
        """Tell whether the rules allow what is asked for."""
        if asked.path:
            return any(
                matches_path(path, asked.path) for verb in (asked.verb, ALL) for path in self._paths.get(verb, ())
            )
        names = self._resources
        resources = (f"{asked.resource}/{asked.subresource}", ALL, f"*/{asked.subresource}")
        for key in product(
            (asked.verb, ALL), (asked.group, ALL), resources if asked.subresource else (asked.resource, ALL)
        ):
            if key in names:
                allowed = names[key]
                if allowed is None or asked.name in allowed:
                    return True
        return False


def matches_path(pattern: str, path: str) -> bool:
    """Tell whether a rule's path stands for ``path``."""
    return pattern in (ALL, path) or (pattern.endswith(ALL) and path.startswith(pattern.rstrip(ALL)))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
