"""YAML request bodies: looked through as a stream of events before anything is built of them.

The composer recurses in C, so that deep nesting would end the process; merge keys and aliases multiply; and a number
may be written so that reading it takes quadratic time. All three are refused here, in one pass that keeps a stack and
finds the keys that a map gives twice on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml

from cloudcore.apiserver.validation.strictness import Slip

MAX_NODES: Final = 100_000
"""Scalars, lists and maps of a document, each alias counted as what it stands for."""
MAX_DEPTH: Final = 200

_MAX_NUMBER_CHARACTERS: Final = 64
_LARGEST_INTEGER: Final = 2**63 - 1
_MERGE: Final = "<<"


class Document(NamedTuple):
    """What one YAML document says.

    Attributes:
        value: As JSON could have said it: text keys, aliases expanded. Of a key that is given twice the last counts.
        repeated: The keys that a map gives twice.
    """

    value: Any
    repeated: list[Slip]


def load(data: bytes) -> Document:
    """Read one YAML document.

    Raises:
        ValueError: It is not well-formed, holds what JSON cannot, nests too deep or grows too large.
    """
    survey = _Survey()
    try:
        for event in yaml.parse(data, Loader=_JsonLoader):
            survey.take(event)
        return Document(_plain(yaml.load(data, Loader=_JsonLoader)), survey.repeated)
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


@dataclass(slots=True)
class _Open:
    """A list or map that is being read.

    Attributes:
        anchor: What aliases call it.
        before: The size of what holds it, so far.
        keys: The keys of a map so far; None for a list.
        at_key: Whether a key of the map comes next.
    """

    anchor: str | None
    before: int
    keys: set[str] | None
    at_key: bool = True


class _Survey:
    """Adds up what each node will have grown to, and looks for keys that are given twice.

    A map that merges others grows no further than they are large.
    """

    def __init__(self) -> None:
        self.repeated: list[Slip] = []
        self._open: list[_Open] = []
        self._sizes: dict[str, int] = {}
        self._size = 0  # of the innermost open node so far

    def take(self, event: yaml.Event) -> None:
        """Look at the next event of the document.

        Raises:
            ValueError: The document is too large or nests too deep.
        """
        if isinstance(event, yaml.CollectionStartEvent):
            self._step(None)
            keys: set[str] | None = set() if isinstance(event, yaml.MappingStartEvent) else None
            self._open.append(_Open(event.anchor, self._size, keys))
            self._size = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            if closed.anchor is not None:
                self._sizes[closed.anchor] = self._size
            self._size += closed.before
        elif isinstance(event, yaml.AliasEvent):
            self._step(None)
            self._size += self._sizes.get(event.anchor or "", MAX_NODES)  # one that is still open would contain itself
        elif isinstance(event, yaml.ScalarEvent):
            self._step(event)
            self._size += 1
            if event.anchor is not None:
                self._sizes[event.anchor] = 1
        if self._size > MAX_NODES or len(self._open) > MAX_DEPTH:
            raise ValueError("the document is too large or nests too deep")

    def _step(self, scalar: yaml.ScalarEvent | None) -> None:
        """Note that the innermost open map goes from a key to its value, or on to the next key."""
        within = self._open[-1] if self._open else None
        if within is None or within.keys is None:
            return
        if within.at_key and scalar is not None and scalar.value != _MERGE:
            if scalar.value in within.keys:
                line = scalar.start_mark.line + 1 if scalar.start_mark else 0
                self.repeated.append(Slip(f'line {line}: key "{scalar.value}" already set in map', scalar.value))
            within.keys.add(scalar.value)
        within.at_key = not within.at_key


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
