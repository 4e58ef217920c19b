"""What rules of roles cover of one another. Sans-IO. What they match is :mod:`protocol.objects.rules`.

Source: Kubernetes ``component-helpers/auth/rbac/validation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Final

from protocol.objects.rules import ALL, Rule, RuleSet, matches_path

__all__: Final = ("ALL", "Rule", "RuleSet", "atoms", "compacted", "matches_path", "uncovered")


def uncovered(wanted: Iterable[Rule], held: Sequence[Rule]) -> list[Rule]:
    """Return what ``wanted`` allows and ``held`` does not, in rules of one verb and one resource each."""
    return [atom for rule in wanted for atom in atoms(rule) if not any(_covers(each, atom) for each in held)]


def atoms(rule: Rule) -> Iterator[Rule]:
    """Take a rule apart into rules of one verb and one group, resource and name, or one path, each."""
    for verb, path in product(rule.verbs, rule.paths):
        yield Rule((verb,), paths=(path,))
    for group, resource, verb, name in product(rule.groups, rule.resources, rule.verbs, rule.names or ("",)):
        yield Rule((verb,), (group,), (resource,), (name,) if name else ())


def _covers(held: Rule, atom: Rule) -> bool:
    """Tell whether one rule allows all that ``atom`` does."""
    if ALL not in held.verbs and atom.verbs[0] not in held.verbs:
        return False
    if atom.paths:
        return any(_covers_path(path, atom.paths[0]) for path in held.paths)
    if ALL not in held.groups and atom.groups[0] not in held.groups:
        return False
    resource = atom.resources[0]
    _, slash, subresource = resource.partition("/")
    accepted = {ALL, resource, f"*/{subresource}"} if slash else {ALL, resource}
    if accepted.isdisjoint(held.resources):
        return False
    return not held.names or (bool(atom.names) and atom.names[0] in held.names)


def _covers_path(held: str, wanted: str) -> bool:
    return held == wanted or (held.endswith(ALL) and wanted.startswith(held.rstrip(ALL)))


def compacted(rules: Iterable[Rule]) -> list[Rule]:
    """Join rules that differ in their verbs alone, and drop repetitions; what they allow together stays the same."""
    verbs: dict[Rule, dict[str, None]] = {}
    for rule in rules:
        alike = Rule((), rule.groups, rule.resources, rule.names, rule.paths)
        verbs.setdefault(alike, {}).update(dict.fromkeys(rule.verbs))
    return [
        Rule(tuple(joined), alike.groups, alike.resources, alike.names, alike.paths) for alike, joined in verbs.items()
    ]
