"""YAML request bodies: looked through as a stream of events before anything is built of them.

The composer recurses in C, so that deep nesting would end the process; merge keys and aliases multiply; and a number
may be written so that reading it takes quadratic time. All three are refused here, in one pass that keeps a stack.
"""

from __future__ import annotations

import math
from typing import Any, Final

import yaml

MAX_NODES: Final = 100_000
"""Scalars, lists and maps of a document, each alias counted as what it stands for."""
MAX_DEPTH: Final = 200

_MAX_NUMBER_CHARACTERS: Final = 64
_LARGEST_INTEGER: Final = 2**63 - 1


def load(data: bytes) -> Any:
    """Return what one YAML document says, as JSON could have said it: text keys, aliases expanded.

    Raises:
        ValueError: It is not well-formed, holds what JSON cannot, nests too deep or grows too large.
    """
    try:
        _check_size(data)
        return _plain(yaml.load(data, Loader=_JsonLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _JsonLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where it is built
    """The safe loader without timestamps: to the API a date is text."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | float:
        number: int = super().construct_yaml_int(_short(node))
        # As JSON's reader has it: what 64 bits cannot hold is read as a float.
        return number if abs(number) <= _LARGEST_INTEGER else float(number)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        number: float = super().construct_yaml_float(_short(node))
        return number


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _JsonLoader.yaml_implicit_resolvers.items()
}
_JsonLoader.add_constructor("tag:yaml.org,2002:int", _JsonLoader.construct_yaml_int)
_JsonLoader.add_constructor("tag:yaml.org,2002:float", _JsonLoader.construct_yaml_float)


def _short(node: yaml.ScalarNode) -> yaml.ScalarNode:
    if len(node.value) > _MAX_NUMBER_CHARACTERS:
        raise ValueError(f"a number of {len(node.value)} characters")
    return node


def _check_size(data: bytes) -> None:
    """Add up what each node will have grown to; a map that merges others grows no further than they are large."""
    open_nodes: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    size = 0  # of the innermost open node so far
    for event in yaml.parse(data, Loader=_JsonLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, size))
            size = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = size
            size += before
        elif isinstance(event, yaml.AliasEvent):
            size += sizes.get(event.anchor or "", MAX_NODES)  # one that is still open would contain itself
        elif isinstance(event, yaml.ScalarEvent):
            size += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if size > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            raise ValueError("the document is too large or nests too deep")


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {_key(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if isinstance(node, float) and not math.isfinite(node):
        raise ValueError(f"{node} has no place in JSON")
    if node is None or isinstance(node, str | int | float):
        return node
    raise ValueError(f"a value of type {type(node).__name__} has no place in JSON")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, str | int | float):
        return str(key)
    raise ValueError("a mapping's key must be text")
