"""Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902), and Kubernetes' strategic merge patch.

None of them changes the object it is given: the result shares the parts that did not change. Only the cloud imports
this module.

Source: RFC 7386, RFC 6902; Kubernetes "strategic merge patch" (sig-api-machinery) for the directives ``$patch``,
``$retainKeys``, ``$setElementOrder/<list>`` and ``$deleteFromPrimitiveList/<list>``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import orjson

from protocol.errors import AiokubeedgeError
from protocol.objects import jsonpatch
from protocol.objects.jsonpatch import FailedOperation, MalformedOperation, Operation
from protocol.objects.keys import Body

MAX_OPERATIONS: Final = 10_000
"""Operations of a JSON patch, as Kubernetes has it."""
MAX_COPIED_BYTES: Final = 1024 * 1024
"""What the ``copy`` operations of one JSON patch may add up to: each could double the object."""

_PATCH: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_SET_ORDER: Final = "$setElementOrder/"
_DELETE_PRIMITIVES: Final = "$deleteFromPrimitiveList/"
_GONE: Final = object()


class PatchMalformed(AiokubeedgeError):
    """The patch is no patch of its type."""


class PatchFailed(AiokubeedgeError):
    """The patch does not apply to the object: a path or test of it does not hold."""


class MergeRules(Protocol):
    """How strategic merge treats one node of an object."""

    @property
    def merge_key(self) -> str:
        """The field by which elements of this list are told apart; empty if it has none."""

    @property
    def strategies(self) -> frozenset[str]:
        """``merge``, ``retainKeys``, both or none."""

    @property
    def items(self) -> MergeRules:
        """The rules of this list's elements."""

    def field(self, name: str) -> MergeRules:
        """Return the rules of a field of this object."""


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` with a JSON merge patch applied (RFC 7386): null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(target: Body, operations: Any) -> Body:
    """Return ``target`` with the operations of a JSON patch applied (RFC 6902), all or none.

    Raises:
        PatchMalformed: ``operations`` is no list of operations.
        PatchFailed: A path does not exist, or a ``test`` does not hold.
    """
    if not isinstance(operations, list) or len(operations) > MAX_OPERATIONS:
        raise PatchMalformed(f"a JSON patch must be a list of at most {MAX_OPERATIONS} operations")
    try:
        patched = _apply_each(list(map(Operation, operations)), orjson.loads(orjson.dumps(target)))
        orjson.dumps(patched)  # what nests too deep shows here, and not when it is stored
    except MalformedOperation as error:
        raise PatchMalformed(str(error)) from error
    except FailedOperation as error:
        raise PatchFailed(str(error)) from error
    except (RecursionError, orjson.JSONEncodeError) as error:
        raise PatchFailed("the patch nests too deep") from error
    if not isinstance(patched, dict):
        raise PatchFailed("the result is not an object")
    return patched


def _apply_each(operations: Sequence[Operation], document: Any) -> Any:
    copied = 0
    for each in operations:
        if each.name == "add":
            document = jsonpatch.add(document, each.path, each.value)
        elif each.name == "replace":
            document = jsonpatch.replace(document, each.path, each.value)
        elif each.name == "remove":
            document = jsonpatch.remove(document, each.path)
        elif each.name == "test":
            jsonpatch.check(document, each.path, each.value)
        elif each.name == "move":
            document = _move(document, each)
        else:
            encoded = orjson.dumps(jsonpatch.resolve(document, each.source))
            copied += len(encoded)
            if copied > MAX_COPIED_BYTES:
                raise PatchFailed(f"the patch copies more than {MAX_COPIED_BYTES} bytes")
            document = jsonpatch.add(document, each.path, orjson.loads(encoded))
    return document


def _move(document: Any, operation: Operation) -> Any:
    """Move a value; into itself it cannot go."""
    source, path = operation.source, operation.path
    if len(path) > len(source) and path[: len(source)] == source:
        raise PatchFailed("a value cannot be moved into itself")
    moved = jsonpatch.resolve(document, source)
    return jsonpatch.add(jsonpatch.remove(document, source), path, moved)


def strategic_merge(target: Body, patch: Body, rules: MergeRules) -> Body:
    """Return ``target`` with a strategic merge patch applied.

    Raises:
        PatchMalformed: A directive is unknown or of the wrong shape, or an element lacks its merge key.
    """
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH}
    if directive == "delete":
        return {}
    if directive is not None and directive != "merge":
        raise PatchMalformed(f"unrecognized directive for {_PATCH}: {directive!r}")
    merged = _retain(target, patch)
    for name, value in patch.items():
        if not name.startswith("$"):
            _merge_field(merged, name, value, patch, rules.field(name))
    _apply_orphan_directives(merged, patch, rules)
    return merged


def _retain(target: Body, patch: Body) -> Body:
    """Return a copy of ``target`` that keeps only what ``$retainKeys`` lists, if the patch has it."""
    keys = patch.get(_RETAIN_KEYS)
    if keys is None:
        return dict(target)
    if not isinstance(keys, list):
        raise PatchMalformed(f"{_RETAIN_KEYS} must be a list of field names")
    return {name: value for name, value in target.items() if name in keys}


def _merge_field(merged: Body, name: str, value: Any, patch: Body, rules: MergeRules) -> None:
    present = merged.get(name)
    if value is None:
        merged.pop(name, None)
    elif isinstance(value, dict):
        base = present if isinstance(present, dict) else {}
        result = strategic_merge(base, value, rules)
        if value.get(_PATCH) == "delete":
            merged.pop(name, None)
        else:
            merged[name] = result
    elif isinstance(value, list) and "merge" in rules.strategies:
        base_list = present if isinstance(present, list) else []
        merged[name] = _merge_list(base_list, value, rules, _list_of(patch, _SET_ORDER + name))
    else:
        merged[name] = value


def _apply_orphan_directives(merged: Body, patch: Body, rules: MergeRules) -> None:
    """Apply list directives; those of order stand alone where the list itself is not patched."""
    for directive in patch:
        if directive.startswith(_DELETE_PRIMITIVES):
            name = directive.removeprefix(_DELETE_PRIMITIVES)
            doomed = set(map(_identity, _list_of(patch, directive) or ()))
            if isinstance(merged.get(name), list):
                merged[name] = [item for item in merged[name] if _identity(item) not in doomed]
        elif directive.startswith(_SET_ORDER):
            name = directive.removeprefix(_SET_ORDER)
            if name not in patch and isinstance(merged.get(name), list):
                order = _list_of(patch, directive)
                merged[name] = _ordered(merged[name], order, _identify_by(rules.field(name).merge_key))


def _list_of(patch: Body, directive: str) -> list[Any] | None:
    value = patch.get(directive)
    if value is not None and not isinstance(value, list):
        raise PatchMalformed(f"{directive} must be a list")
    return value


def _merge_list(base: list[Any], patch: list[Any], rules: MergeRules, order: list[Any] | None) -> list[Any]:
    if not rules.merge_key:
        return _ordered(_union(base, patch), order, _identity)
    kept = [item for item in patch if not (isinstance(item, dict) and item.get(_PATCH) == "replace")]
    if len(kept) < len(patch):
        return kept
    return _ordered(_merge_elements(base, patch, rules), order, _identify_by(rules.merge_key))


def _union(base: list[Any], more: list[Any]) -> list[Any]:
    seen = set(map(_identity, base))
    merged = list(base)
    for item in more:
        identity = _identity(item)
        if identity not in seen:
            seen.add(identity)
            merged.append(item)
    return merged


def _merge_elements(base: list[Any], patch: list[Any], rules: MergeRules) -> list[Any]:
    """Merge the elements of ``patch`` into those of ``base`` that have the same merge key."""
    key = rules.merge_key
    merged = list(base)
    places: dict[Hashable, list[int]] = {}
    for place, item in enumerate(merged):
        places.setdefault(_key_of(item, key), []).append(place)
    for element in patch:
        if not isinstance(element, dict) or key not in element:
            raise PatchMalformed(f"map: {element!r:.200} does not contain declared merge key: {key}")
        identity = _key_of(element, key)
        if element.get(_PATCH) == "delete":
            for place in places.pop(identity, ()):
                merged[place] = _GONE
        elif identity in places:
            first = places[identity][0]
            merged[first] = strategic_merge(merged[first], element, rules.items)
        else:
            places[identity] = [len(merged)]
            merged.append(strategic_merge({}, element, rules.items))
    return [item for item in merged if item is not _GONE]


def _identity(value: Any) -> Hashable:
    """Return what equal JSON values have in common and others do not: lists may be long, so it goes into sets."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _key_of(item: Any, key: str) -> Hashable:
    return _identity(item.get(key)) if isinstance(item, dict) else None


def _identify_by(merge_key: str) -> Callable[[Any], Hashable]:
    return partial(_key_of, key=merge_key) if merge_key else _identity


def _ordered(items: list[Any], order: Sequence[Any] | None, identify: Callable[[Any], Hashable]) -> list[Any]:
    """Sort the listed items as ``order`` says; the others stay behind the listed item they followed."""
    if order is None:
        return items
    wanted: dict[Hashable, int] = {}
    for place, each in enumerate(order):
        wanted.setdefault(identify(each), place)
    ranked, last = [], -1
    for index, item in enumerate(items):
        listed = wanted.get(identify(item))
        ranked.append((last if listed is None else listed, listed is None, index, item))
        last = last if listed is None else listed
    return [entry[3] for entry in sorted(ranked, key=lambda entry: entry[:3])]
