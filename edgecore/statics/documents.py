"""From the bytes of a manifest file to the pods that stand in it. Performs no I/O.

A file is YAML, of one or several documents, or JSON. A document is a Pod, a PodList, or a List of Pods.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body

MAX_FILE_BYTES: Final = 1 << 20
MAX_NODES: Final = 50_000
"""Values a file may come to, aliases written out: a few lines of YAML can stand for billions."""
MAX_EVENTS: Final = 4 * MAX_NODES
"""What the YAML of so many values takes: keys, and starts and ends of maps and lists."""
MAX_DEPTH: Final = 64
_LONGEST_NUMBER: Final = 64
_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9_:.]*")
_LARGEST: Final = (1 << 63) - 1
_LISTS: Final = ("PodList", "List")


class ManifestError(AiokubeedgeError):
    """A file does not say what pods to run. One line, without the file's name."""


def read_pods(name: str, content: bytes) -> list[Body]:
    """Return the pods of a file, as they stand there.

    Args:
        name: The file's name; ``.json`` is read as JSON, all else as YAML.
        content: What is in it.

    Raises:
        ManifestError: It cannot be read, or holds something else than pods.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ManifestError(f"it has {len(content)} bytes; a manifest has at most {MAX_FILE_BYTES}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"it is not UTF-8: {error}") from error
    documents = _json(text) if name.endswith(".json") else _yaml(text)
    return [pod for document in documents if document is not None for pod in _pods(document)]


def _json(text: str) -> list[Any]:
    try:
        documents = [json.loads(text, parse_constant=_no_number)]
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"it is not JSON: {error or 'nested too deeply'}") from error
    _measure(documents)
    return documents


def _yaml(text: str) -> list[Any]:
    import yaml  # noqa: PLC0415 - 20 ms and 2 MB that a device without YAML to read does not spend

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _weigh(yaml.parse(text, Loader=loader))
        documents = list(yaml.load_all(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ManifestError(f"it is not YAML: {where}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ManifestError(f"it is not YAML: {_one_line(error)}") from error
    _measure(documents)
    return documents


def _weigh(events: Iterable[Any]) -> None:
    """Check how much a YAML file would come to, before anything is made of it.

    What makes values of it is in C and recursive: deep nesting ends the process. Maps that are merged into maps, over
    and over, take all memory there is, and a number of many parts all the time.

    Raises:
        ManifestError: It is too much.
    """
    weights: dict[str, int] = {}  # by anchor, aliases written out
    opened: list[tuple[str | None, int]] = []  # anchor, and what was counted before it
    total = 0
    for event in events:
        kind = type(event).__name__
        if kind == "AliasEvent":
            total += weights.get(event.anchor, 0)  # one that is unknown, or still open, is refused later on
        elif kind == "ScalarEvent":
            if event.implicit[0] and len(event.value) > _LONGEST_NUMBER and _NUMBER.fullmatch(event.value):
                raise ManifestError("a number is larger than any that a field can hold")
        elif kind in {"SequenceStartEvent", "MappingStartEvent"}:
            opened.append((event.anchor, total))
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            anchor, before = opened.pop()
            if anchor is not None:
                weights[anchor] = total - before
        total += 1
        if total > MAX_EVENTS or len(opened) > MAX_DEPTH:
            raise ManifestError("it is larger, or nested deeper, than any manifest")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _measure(documents: list[Any]) -> None:
    """Check that what was read is JSON in kind, and of a size that can be worked with.

    Raises:
        ManifestError: It is not.
    """
    pending: list[tuple[Any, int]] = [(document, 0) for document in documents]
    nodes = 0
    while pending:
        value, depth = pending.pop()
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ManifestError("it is larger, or nested deeper, than any manifest")
        if isinstance(value, dict):
            stray = next((key for key in value if not isinstance(key, str) or not _is_sound(key)), None)
            if stray is not None:
                raise ManifestError(f"a field's name is not text: {stray!r}")
            pending += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list):
            pending += [(each, depth + 1) for each in value]
        elif isinstance(value, str) and not _is_sound(value):
            raise ManifestError("a text is not Unicode")
        elif type(value) is int and abs(value) > _LARGEST:
            raise ManifestError("a number is larger than any that a field can hold")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ManifestError("a number is not finite")
        elif not isinstance(value, str | int | float | bool | None):
            raise ManifestError(f"a value is neither text nor a number: write {value!r:.40} in quotes")


def _is_sound(text: str) -> bool:
    """Tell whether ``text`` can be written down: JSON can spell halves of characters."""
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _pods(document: Any) -> Iterator[Body]:
    if not isinstance(document, dict):
        raise ManifestError("a document is not an object")
    version, kind = document.get("apiVersion"), document.get("kind")
    if version == "v1" and kind == "Pod":
        yield document
    elif version == "v1" and kind in _LISTS:
        items = document.get("items")
        for item in items if isinstance(items, list) else ():
            # Within a PodList the items need not repeat what they are.
            yield from _pods({"apiVersion": "v1", "kind": "Pod", **item} if isinstance(item, dict) else item)
    else:
        raise ManifestError(f"{_words(version)} {_words(kind)} is no Pod: only v1 Pod, PodList and List can be here")


def _words(value: Any) -> str:
    return value[:80] if isinstance(value, str) and value else "(nothing)"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
