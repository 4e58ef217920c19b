"""Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902), and Kubernetes' strategic merge patch.

None of them changes the object it is given: the result shares the parts that did not change. Only the cloud imports
this module: ``jsonpatch`` comes with the ``cloud`` extra.

Source: RFC 7386, RFC 6902; Kubernetes "strategic merge patch" (sig-api-machinery) for the directives ``$patch``,
``$retainKeys``, ``$setElementOrder/<list>`` and ``$deleteFromPrimitiveList/<list>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import jsonpatch

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body

_PATCH: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_SET_ORDER: Final = "$setElementOrder/"
_DELETE_PRIMITIVES: Final = "$deleteFromPrimitiveList/"


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
    if not isinstance(operations, list):
        raise PatchMalformed("a JSON patch must be a list of operations")
    try:
        patched: Body = jsonpatch.JsonPatch(operations).apply(target)
    except jsonpatch.InvalidJsonPatch as error:
        raise PatchMalformed(str(error)) from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise PatchFailed(str(error)) from error
    if not isinstance(patched, dict):
        raise PatchFailed("the result is not an object")
    return patched


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
    if directive not in {None, "merge"}:
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
            doomed = _list_of(patch, directive) or []
            if isinstance(merged.get(name), list):
                merged[name] = [item for item in merged[name] if item not in doomed]
        elif directive.startswith(_SET_ORDER):
            name = directive.removeprefix(_SET_ORDER)
            if name not in patch and isinstance(merged.get(name), list):
                merged[name] = _ordered(merged[name], _list_of(patch, directive), rules.field(name).merge_key)


def _list_of(patch: Body, directive: str) -> list[Any] | None:
    value = patch.get(directive)
    if value is not None and not isinstance(value, list):
        raise PatchMalformed(f"{directive} must be a list")
    return value


def _merge_list(base: list[Any], patch: list[Any], rules: MergeRules, order: list[Any] | None) -> list[Any]:
    if not rules.merge_key:
        merged = list(base)
        merged += [item for index, item in enumerate(patch) if item not in base and item not in patch[:index]]
        return _ordered(merged, order, "")
    replacing = [item for item in patch if isinstance(item, dict) and item.get(_PATCH) == "replace"]
    if replacing:
        return [item for item in patch if item not in replacing]
    return _ordered(_merge_elements(base, patch, rules), order, rules.merge_key)


def _merge_elements(base: list[Any], patch: list[Any], rules: MergeRules) -> list[Any]:
    """Merge the elements of ``patch`` into those of ``base`` that have the same merge key."""
    key = rules.merge_key
    merged = list(base)
    for element in patch:
        if not isinstance(element, dict) or key not in element:
            raise PatchMalformed(f"map: {element!r} does not contain declared merge key: {key}")
        at = next((i for i, item in enumerate(merged) if _key_of(item, key) == element[key]), None)
        if element.get(_PATCH) == "delete":
            merged = [item for item in merged if _key_of(item, key) != element[key]]
        elif at is None:
            merged.append(strategic_merge({}, element, rules.items))
        else:
            merged[at] = strategic_merge(merged[at], element, rules.items)
    return merged


def _key_of(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, dict) else None


def _ordered(items: list[Any], order: Sequence[Any] | None, key: str) -> list[Any]:
    """Sort the listed items as ``order`` says; the others stay behind the listed item they followed."""
    if order is None:
        return items
    wanted = [_key_of(each, key) if key else each for each in order]
    ranked, last = [], -1
    for index, item in enumerate(items):
        identity = _key_of(item, key) if key else item
        place = wanted.index(identity) if identity in wanted else None
        ranked.append((last if place is None else place, place is None, index, item))
        last = last if place is None else place
    return [entry[3] for entry in sorted(ranked, key=lambda entry: entry[:3])]
