"""Simple JSON paths: ``.spec.replicas``, ``.status.conditions[?(@.type=="Ready")].status``.

What printer columns, the scale subresource and selectable fields use of kubectl's JSONPath; nothing else of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

_STEP: Final = re.compile(
    r"""
      \.(?P<field>(?:\\.|[^.\[\]\\])+)            # .name, with \. for a dot in the name
    | \[\s*(?P<index>-?\d+)\s*\]
    | \[\s*(?P<quote>['"])(?P<key>.*?)(?P=quote)\s*\]
    | (?P<all>\[\s*\*\s*\]|\.\*)
    | \[\?\(\s*@(?P<path>\.[\w\\.-]+)\s*  # one repetition: two nested would try 2ⁿ ways
        (?:(?P<op>==|!=)\s*(?P<literal>"[^"]*"|'[^']*'|-?[\d.]+|true|false))?\s*\)\]
    """,
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(.)")

Step = Callable[[Any], Iterator[Any]]


class BadPath(ValueError):
    """The text is not a path of this kind."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed path.

    Attributes:
        steps: What to do with each value on the way.
        names: The names of a path that is names only; empty for any other.
    """

    steps: tuple[Step, ...]
    names: tuple[str, ...]

    def first(self, value: Any) -> Any:
        """Return the first value the path leads to; None where it leads nowhere."""
        return next(self._walk(value, 0), None)

    def _walk(self, value: Any, at: int) -> Iterator[Any]:
        if at == len(self.steps):
            yield value
            return
        for each in self.steps[at](value):
            yield from self._walk(each, at + 1)


@lru_cache(maxsize=1024)
def parse(text: str) -> JsonPath:
    """Parse a path that starts with a dot; braces around it are allowed.

    Raises:
        BadPath: It cannot be read.
    """
    bare = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if not bare.startswith((".", "[")):
        raise BadPath("must be a simple json path starting with .")
    steps: list[Step] = []
    names: list[str] = []
    at = 0
    while at < len(bare):
        found = _STEP.match(bare, at)
        if found is None:
            raise BadPath(f"is invalid at {bare[at:]!r}")
        at = found.end()
        steps.append(_step(found))
        name = _name(found)
        if name is not None:
            names.append(name)
    return JsonPath(tuple(steps), tuple(names) if len(names) == len(steps) else ())


def _name(found: re.Match[str]) -> str | None:
    if found["field"] is not None:
        return _ESCAPED.sub(r"\1", found["field"])
    return found["key"] if found["quote"] is not None else None


def _step(found: re.Match[str]) -> Step:
    name = _name(found)
    if name is not None:
        return _field(name)
    if found["index"] is not None:
        return _item(int(found["index"]))
    if found["all"] is not None:
        return _all
    return _filter(parse(found["path"]), found["op"] or "", found["literal"] or "")


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _item(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _filter(path: JsonPath, operator: str, literal: str) -> Step:
    wanted = literal.strip("\"'") if literal[:1] in {'"', "'"} else literal

    def selected(item: Any) -> bool:
        value = path.first(item)
        if not operator:
            return value is not None
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return value is not None and (text == wanted) == (operator == "==")

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (item for item in value if selected(item))

    return step
