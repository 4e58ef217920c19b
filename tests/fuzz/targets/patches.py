"""Patches of each type against an object. Only ``PatchMalformed`` and ``PatchFailed`` may come."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Final

import orjson

from cloudcore.apiserver.validation.mergerules import merge_rules
from protocol.objects.keys import Body
from protocol.objects.patches import PatchFailed, PatchMalformed, json_patch, merge_patch, strategic_merge
from tests.fuzz.bounds import at_most

FACTOR: Final = 4096
"""An operation of a JSON patch of some twenty bytes becomes an object with two parsed paths."""
POD: Final = "io.k8s.api.core.v1.Pod"
OBJECT: Final[Body] = {
    "metadata": {"name": "web", "labels": {"a": "b"}, "finalizers": ["x", "y"]},
    "spec": {
        "containers": [{"name": "a", "image": "i", "env": [{"name": "E", "value": "1"}]}, {"name": "b"}],
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}


def one_input(data: bytes) -> None:
    """Apply ``data``, JSON, as the type that its first byte names; the object itself must not change."""
    if not data:
        return
    try:
        patch = orjson.loads(data[1:])
    except ValueError:
        return
    before = deepcopy(OBJECT)
    try:
        with at_most(len(data), FACTOR):
            _apply(data[0] % 4, patch)
    except (PatchMalformed, PatchFailed):
        pass
    assert before == OBJECT


def _apply(kind: int, patch: object) -> None:
    if kind == 0:
        json_patch(OBJECT, patch)
    elif kind == 1:
        merged = merge_patch(OBJECT, patch)
        assert merge_patch(merged, patch) == merged
    elif isinstance(patch, dict):
        strategic_merge(OBJECT, patch, merge_rules(POD if kind == 2 else ""))


def seeds() -> Iterable[bytes]:
    """Return some of each."""
    yield b'\x00[{"op":"add","path":"/metadata/labels/c","value":1},{"op":"copy","from":"/spec","path":"/x"}]'
    yield b'\x00[{"op":"test","path":"/metadata/name","value":"web"},{"op":"remove","path":"/spec/containers/0"}]'
    yield b'\x00[{"op":"move","from":"/spec/containers/0","path":"/spec/volumes/0"}]'
    yield b'\x00[{"op":"replace","path":"","value":3}]'
    yield b'\x00[{"op":"add","path":"/spec/containers/x~1y~0"},{"op":[],"path":{}},7]'
    yield b'\x01{"metadata":{"labels":null,"name":{"a":[1]}},"spec":3}'
    yield b'\x02{"spec":{"containers":[{"name":"a","env":[{"$patch":"replace"},{"name":"F"}]},{"$patch":"delete"}]}}'
    yield b'\x02{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"],"$setElementOrder/finalizers":["y","z"]}}'
    yield b'\x02{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"$retainKeys":["containers"]}}'
    yield b'\x02{"spec":{"containers":{"a":[]},"volumes":[{"name":"v","$retainKeys":["name"]},[1],"x"]}}'
    yield b'\x03{"spec":{"$patch":"replace","a":1}}'
