"""Label and field selectors, in the API's text form and in the objects' structured forms.

A parsed selector is a tuple of :class:`Requirement`; all must hold. The empty selector selects everything.
Source: Kubernetes "Labels and Selectors"; ``metav1.LabelSelector``; ``NodeSelectorTerm``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from protocol.objects.keys import Body

_NAME: Final = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_DNS_SUBDOMAIN: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_SET: Final = re.compile(r"^(?P<key>[^\s!=<>(),]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_COMPARE: Final = re.compile(r"^(?P<key>[^\s!=<>(),]+)\s*(?P<operator>==|!=|=|<|>)\s*(?P<value>[^\s!=<>(),]*)$")
_EXISTS: Final = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^\s!=<>(),]+)$")

_PART: Final = re.compile(r"(?:^|,)((?:[^,(]|\([^)]*(?:\)|$))*)")

_OPERATORS: Final = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt", "in": "In", "notin": "NotIn"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one key.

    Attributes:
        key: Label key, or field path.
        operator: ``In``, ``NotIn``, ``Exists``, ``DoesNotExist``, ``Gt`` or ``Lt``.
        values: For ``Gt`` and ``Lt`` one integer as text; for the existence operators empty.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether ``labels`` satisfy this requirement."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return self._compares(value)
        raise ValueError(f"{self.operator!r} is not a valid selector operator")

    def _compares(self, value: str | None) -> bool:
        try:
            actual, bound = int(value or ""), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return actual > bound if self.operator == "Gt" else actual < bound


Selector = tuple[Requirement, ...]


def matches(selector: Selector, labels: Mapping[str, str] | None) -> bool:
    """Tell whether ``labels`` satisfy every requirement of ``selector``."""
    present = labels or {}
    return all(requirement.matches(present) for requirement in selector)


@lru_cache(maxsize=1024)
def parse_label_selector(text: str) -> Selector:
    """Parse the text form: ``app=web,tier!=db,zone in (a, b),!legacy``.

    Raises:
        ValueError: The text is no selector; the message says which part.
    """
    return tuple(_parse_requirement(part) for part in _split(text))


def parse_field_selector(text: str) -> Selector:
    """Parse ``metadata.name=x,spec.nodeName!=y``: only equality is defined for fields.

    Raises:
        ValueError: The text is no field selector.
    """
    requirements = []
    for part in _split(text):
        match = _COMPARE.match(part)
        if match is None or match["operator"] in "<>":
            raise ValueError(f"invalid selector: {text!r}; can't understand {part!r}")
        requirements.append(Requirement(match["key"], _OPERATORS[match["operator"]], (match["value"],)))
    return tuple(requirements)


def label_selector(body: Body | None) -> Selector:
    """Convert a ``metav1.LabelSelector`` (``matchLabels``, ``matchExpressions``).

    None selects nothing in Kubernetes; callers decide that before. An empty selector selects everything.

    Raises:
        ValueError: An operator is unknown.
    """
    body = body or {}
    equal = [Requirement(key, "In", (value,)) for key, value in (body.get("matchLabels") or {}).items()]
    return (*equal, *requirements_of(body.get("matchExpressions") or ()))


def requirements_of(expressions: Iterable[Body]) -> Selector:
    """Convert ``matchExpressions`` or ``matchFields`` of a label selector or a node selector term."""
    return tuple(
        Requirement(item["key"], _known(item["operator"]), tuple(item.get("values") or ())) for item in expressions
    )


def is_label_key(text: str) -> bool:
    """Tell whether ``text`` is a qualified name: an optional DNS prefix, a slash, a name of at most 63."""
    prefix, slash, name = text.rpartition("/")
    if slash and (not prefix or len(prefix) > 253 or _DNS_SUBDOMAIN.match(prefix) is None):
        return False
    return _NAME.match(name) is not None


def is_label_value(text: str) -> bool:
    """Tell whether ``text`` may stand as a label's value; empty may."""
    return text == "" or _NAME.match(text) is not None


def _known(operator: str) -> str:
    if operator not in {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}:
        raise ValueError(f"{operator!r} is not a valid selector operator")
    return operator


def _split(text: str) -> list[str]:
    """Split at commas that stand outside parentheses, in one pass."""
    return [part.strip() for part in _PART.findall(text)] if text.strip() else []


def _parse_requirement(part: str) -> Requirement:
    requirement = _read_requirement(part)
    if requirement is None or not is_label_key(requirement.key):
        raise ValueError(f"unable to parse requirement: {part!r}")
    for value in requirement.values:
        if not is_label_value(value):
            raise ValueError(f"unable to parse requirement: invalid label value: {value!r}")
    return requirement


def _read_requirement(part: str) -> Requirement | None:
    if found := _SET.match(part):
        values = tuple(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], _OPERATORS[found["operator"]], values)
    if found := _COMPARE.match(part):
        return Requirement(found["key"], _OPERATORS[found["operator"]], (found["value"],))
    if found := _EXISTS.match(part):
        return Requirement(found["key"], "DoesNotExist" if found["absent"] else "Exists")
    return None
