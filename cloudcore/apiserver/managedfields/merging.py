"""Putting an applied configuration into an object, and taking out what the applier no longer states."""

from __future__ import annotations

from typing import Any, Final

import orjson

from cloudcore.apiserver.managedfields.comparing import by_step
from cloudcore.apiserver.managedfields.fieldsets import FieldSet, below, is_member
from cloudcore.apiserver.managedfields.shapes import Shape
from protocol.objects.keys import Body

_UNKNOWN: Final = Shape(None)


def merge(live: Body, config: Body, shape: Shape) -> Body:
    """Return ``live`` with what ``config`` states; neither is changed."""
    merged = dict(live)
    for name, value in config.items():
        merged[name] = _merge_value(live.get(name), value, shape.child(name) or _UNKNOWN)
    return merged


def _merge_value(live: Any, stated: Any, shape: Shape) -> Any:
    if isinstance(live, dict) and isinstance(stated, dict) and not shape.is_atomic:
        return merge(live, stated, shape)
    if isinstance(live, list) and isinstance(stated, list) and (shape.keys or shape.is_set):
        return _merge_lists(live, stated, shape)
    return stated


def _merge_lists(live: list[Any], stated: list[Any], shape: Shape) -> list[Any]:
    """Merge elements by identity: stated ones in the order stated, the others where they stood among them."""
    wanted = by_step(stated, shape)
    if wanted is None:
        return stated
    merged: list[Any] = []
    present = [(shape.step_of(item), item) for item in live]
    by_identity = dict(present)
    place = 0
    for step, item in wanted.items():
        while place < len(present) and present[place][0] not in wanted:
            merged.append(present[place][1])
            place += 1
        if step in by_identity:
            place += 1
            item = _merge_value(by_identity[step], item, shape.items)  # noqa: PLW2901  the merged element takes its place
        merged.append(item)
    return merged + [item for step, item in present[place:] if step not in wanted]


def prune(body: Body, dropped: FieldSet, kept: FieldSet, shape: Shape) -> Body:
    """Return ``body`` without the fields of ``dropped`` that are not in ``kept``, nor on the way to one that is.

    Args:
        body: The object; it is not changed.
        dropped: What the applier stated before.
        kept: What it states now, and what others own.
        shape: The object's rules.
    """
    pruned = dict(body)
    for step, node in dropped.items():
        name = step[2:]
        if name not in pruned:
            continue
        value = _prune_value(pruned[name], node, kept.get(step), shape.child(name) or _UNKNOWN)
        if value is None:
            del pruned[name]
        else:
            pruned[name] = value
    return pruned


def _prune_value(value: Any, node: FieldSet, kept: FieldSet | None, shape: Shape) -> Any:
    """Return what is left of a value; None where nothing is."""
    if is_member(node) and kept is None:
        return None
    parts, others = below(node), below(kept) if kept else {}
    if not parts or not value:
        return value
    left: Any = value
    if isinstance(value, dict):
        left = prune(value, parts, others, shape)
    elif isinstance(value, list):
        left = _prune_list(value, parts, others, shape)
    return left or None if kept is None else left


def _prune_list(items: list[Any], parts: FieldSet, kept: FieldSet, shape: Shape) -> list[Any]:
    left = []
    for item in items:
        step = shape.step_of(item)
        node = None if step is None else parts.get(step)
        if step is None or node is None:
            left.append(item)
            continue
        if step in kept:
            # What tells an element apart stays for as long as the element does.
            node = {name: each for name, each in node.items() if name[2:] not in shape.keys}
        value = _prune_value(item, node, kept.get(step), shape.items)
        if value is not None:
            left.append(value)
    return left


def without_nulls(value: Any) -> Any:
    """Return a configuration without its nulls: a field set to null is one that is not stated."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def copied(body: Body) -> Body:
    """Return a copy that shares nothing with ``body``."""
    copy: Body = orjson.loads(orjson.dumps(body))
    return copy
