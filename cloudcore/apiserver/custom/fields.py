"""Fields in rules: the ways from ``self`` into an object, held against its schema; and names as rules spell them.

Source: Kubernetes "Common Expression Language in Kubernetes", field names and escaping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cloudcore.apiserver.custom.pruning import Schema

_CHAIN: Final = re.compile(r"(?<![\w.])(?P<root>self|oldSelf)(?P<fields>(?:\s*\.\s*[A-Za-z_]\w*(?!\w)(?!\s*\())*)")
_KEYWORDS: Final = frozenset(
    "true false null in as break const continue else for function if import let loop package namespace return".split()
)
_STRINGS: Final = re.compile(r"""[rR]?("(\\.|[^"\\])*"|'(\\.|[^'\\])*')""")
_RESOURCE: Final[Schema] = {
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
        },
    }
}
_CONVERTED: Final = {
    "date-time": "timestamp({})",
    "date": "timestamp({} + 'T00:00:00Z')",
    "duration": "duration({})",
}
"""Formats whose values rules see as times, not as text."""


def escape(name: str) -> str:
    """Return a property's name as rules spell it: ``__if__``, ``a__dash__b``."""
    if name in _KEYWORDS:
        return f"__{name}__"
    if name.isidentifier() and "__" not in name:
        return name
    spelt = name.replace("__", "__underscores__")
    return spelt.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")


def with_resource_fields(schema: Schema) -> Schema:
    """Return the schema of a whole resource: with the fields that every one of them has."""
    return {**schema, "properties": {**(schema.get("properties") or {}), **_RESOURCE["properties"]}}


def unknown_fields(schema: Schema, rule: str) -> Iterator[str]:
    """Yield the fields that ``rule`` names below ``self`` and that ``schema`` does not have."""
    for chain in _CHAIN.finditer(_without_strings(rule)):
        _, unknown = _follow(schema, _names(chain))
        if unknown:
            yield unknown


def with_times(schema: Schema, rule: str) -> str:
    """Return ``rule`` with every field that is a time or duration converted where it is read."""
    out, done, bare = [], 0, _without_strings(rule)
    for chain in _CHAIN.finditer(bare):
        node, _ = _follow(schema, _names(chain))
        form = _CONVERTED.get(str(node.get("format"))) if node and node.get("type") == "string" else None
        asked = bare[: chain.start()].rstrip().endswith("has(")
        optional = chain[0] == "oldSelf" and bare[chain.end() :].lstrip().startswith(".")  # oldSelf.hasValue()
        if form and not asked and not optional:
            out += [rule[done : chain.start()], form.format(chain[0])]
            done = chain.end()
    return "".join(out) + rule[done:]


def _without_strings(rule: str) -> str:
    """Return ``rule`` with string literals blanked out, every character at its place."""
    return _STRINGS.sub(lambda found: " " * len(found[0]), rule)


def _names(chain: re.Match[str]) -> list[str]:
    return [part.strip() for part in chain["fields"].split(".")[1:]]


def _follow(schema: Schema, names: list[str]) -> tuple[Mapping[str, Any], str]:
    """Return the schema that ``names`` lead to (empty where that is open), and the first name it does not have."""
    node: Any = schema
    for name in names:
        properties = node.get("properties")
        if not properties or node.get("x-kubernetes-preserve-unknown-fields"):
            return {}, ""
        spelt = {escape(each): each for each in properties}
        if name not in spelt:
            return {}, name
        node = properties[spelt[name]]
    return node, ""
