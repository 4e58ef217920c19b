"""Sets of fields, in the form ``managedFields`` carries them (``FieldsV1``).

A set is a tree of dicts. A key is one step of a path: ``f:spec`` a field, ``k:{"name":"app"}`` an element of a list
that is told apart by keys, ``v:"x"`` an element of a set. A node without steps is a member; one with steps is a member
if it has the step ``.`` too. The root is no member, so an empty root is the empty set. Functions here change nothing
they are given; what they return shares parts with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

FieldSet = dict[str, Any]

MEMBER: Final = "."


def is_member(node: FieldSet) -> bool:
    """Tell whether a node is itself in the set, rather than only on the way to others."""
    return not node or MEMBER in node


def below(node: FieldSet) -> FieldSet:
    """Return the set of what is below a node."""
    return {step: child for step, child in node.items() if step != MEMBER} if MEMBER in node else node


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return the fields of either set."""
    if not one or not other:
        return one or other
    both = dict(one)
    for step, node in other.items():
        mine = both.get(step)
        if mine is None:
            both[step] = node
        else:
            member = is_member(mine) or is_member(node)
            both[step] = _node(member, union(below(mine), below(node)))
    return both


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return the fields of ``one`` that are not in ``other``."""
    if not other:
        return one
    rest: FieldSet = {}
    for step, node in one.items():
        theirs = other.get(step)
        if theirs is None:
            rest[step] = node
            continue
        member = is_member(node) and not is_member(theirs)
        children = difference(below(node), below(theirs))
        if member or children:
            rest[step] = _node(member, children)
    return rest


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return the fields of both sets."""
    shared: FieldSet = {}
    for step, node in one.items():
        theirs = other.get(step)
        if theirs is None:
            continue
        member = is_member(node) and is_member(theirs)
        children = intersection(below(node), below(theirs))
        if member or children:
            shared[step] = _node(member, children)
    return shared


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Yield the members as people read them: ``.spec.containers[name="app"].image``."""
    for step, node in fields.items():
        path = prefix + _readable(step)
        if is_member(node):
            yield path
        yield from paths(below(node), path)


def is_field_set(value: object) -> bool:
    """Tell whether something read from an object is a set of fields: it may come from a client."""
    return isinstance(value, dict) and all(
        (step == MEMBER or step[:2] in {"f:", "k:", "v:", "i:"}) and is_field_set(node) for step, node in value.items()
    )


def _node(member: bool, children: FieldSet) -> FieldSet:
    return {MEMBER: {}, **children} if member and children else children


def _readable(step: str) -> str:
    if step.startswith("f:"):
        return "." + step[2:]
    if not step.startswith("k:"):
        return f"[={step[2:]}]"
    keys = orjson.loads(step[2:])
    return "[" + ",".join(f"{name}={orjson.dumps(value).decode()}" for name, value in keys.items()) + "]"
