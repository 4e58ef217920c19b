"""What a write that is on its way would make of an object. Sans-IO."""

from __future__ import annotations

import json
from typing import Any

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.writes import Write
from protocol.objects import jsonpatch
from protocol.objects.jsonpatch import FailedOperation, MalformedOperation, Operation
from protocol.objects.keys import Body


def predicted(body: Body | None, write: Write) -> Body | None:
    """Return what ``write`` would make of an object, as far as the device can tell; None where it would be gone.

    The cloud's defaults are not known here, and lists in a strategic merge patch are merged by ``name`` only.

    Raises:
        Failure: A patch does not apply, or the result is no object.
    """
    made = _made(body, write)
    if made is None:
        return None
    metadata = made.get("metadata")
    if not isinstance(metadata, dict) or not all(_is_texts(metadata.get(name)) for name in ("labels", "annotations")):
        raise Failure("Invalid", f"{write.key} would have no sound metadata")
    before = (body or {}).get("metadata") or {}
    fixed = {name: before[name] for name in ("uid", "creationTimestamp") if name in before}
    return {**made, "metadata": {**metadata, "name": write.key.name, **fixed}}


def _made(body: Body | None, write: Write) -> Body | None:
    if write.verb == "delete":
        return None
    if write.verb == "create":
        return dict(write.body)
    if body is None:
        return dict(write.body) if "apply-patch" in write.content_type else None
    if write.verb == "update":
        return {**body, "status": write.body.get("status")} if write.subresource == "status" else dict(write.body)
    patched = _patched(body, write)
    if write.subresource == "status":
        return {**body, "status": patched.get("status")}
    return patched


def _patched(body: Body, write: Write) -> Body:
    if isinstance(write.body, list):
        return _json_patched(body, write.body)
    by_name = "strategic" in write.content_type or "apply" in write.content_type
    merged: Body = merge(body, write.body, by_name=by_name)
    return merged


def _json_patched(body: Body, operations: list[Any]) -> Body:
    document = json.loads(json.dumps(body))
    try:
        for each in map(Operation, operations):
            match each.name:
                case "add":
                    document = jsonpatch.add(document, each.path, each.value)
                case "replace":
                    document = jsonpatch.replace(document, each.path, each.value)
                case "remove":
                    document = jsonpatch.remove(document, each.path)
                case "test":
                    jsonpatch.check(document, each.path, each.value)
                case "copy" | "move":
                    value = json.loads(json.dumps(jsonpatch.resolve(document, each.source)))
                    if each.name == "move":
                        document = jsonpatch.remove(document, each.source)
                    document = jsonpatch.add(document, each.path, value)
    except MalformedOperation as error:
        raise Failure("BadRequest", str(error)) from error
    except FailedOperation as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise Failure("Invalid", message) from error
    return document if isinstance(document, dict) else {}


def merge(target: Any, patch: Any, *, by_name: bool = False) -> Any:
    """Return ``target`` with a merge patch applied (RFC 7386).

    Args:
        target: What is patched.
        patch: The patch.
        by_name: Merge lists of objects by their names, and pass over a strategic patch's directives.
    """
    if by_name and isinstance(patch, list) and isinstance(target, list):
        return _merged_list(target, patch)
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if by_name and name.startswith("$"):
            continue
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value, by_name=by_name)
    return merged


def _merged_list(target: list[Any], patch: list[Any]) -> list[Any]:
    if not all(isinstance(each, dict) and "name" in each for each in (*target, *patch)):
        return patch
    merged = {each["name"]: each for each in target}
    for each in patch:
        if each.get("$patch") == "delete":
            merged.pop(each["name"], None)
        else:
            merged[each["name"]] = merge(merged.get(each["name"]), each, by_name=True)
    return list(merged.values())


def _is_texts(value: object) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)
    )
