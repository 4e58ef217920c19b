"""The expression language of validation rules (CEL): its environment, and the functions Kubernetes adds to it.

Evaluation is bounded by the library (10,000 iterations, 32 levels of nesting); what an expression can make of its
input is bounded here (:func:`growth`). Importing this module loads the library (20 MB): do it when there is a rule.

Sources: cel.dev; Kubernetes "Common Expression Language in Kubernetes".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import re2
from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

from protocol.objects.quantities import parse_quantity

Type: TypeAlias = cel.Type
_Impl = Callable[..., Any]

MOST_GROWTH: Final = 10_000
LONGEST: Final = 10_000
"""Characters of an expression."""
_LITERAL: Final = re.compile(r"""[rR]?("(\\.|[^"\\])*"|'(\\.|[^'\\])*')""")
_MULTIPLIER: Final = re.compile(r"\+|\.(?:format|join|replace)\s*\(")
_BUILDER: Final = re.compile(r"\.map\s*\(|\bcel\.bind\s*\(")
_STATUS: Final = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_NO_KEY: Final = re.compile(r'Key not found in map : "?([^"]*)"?')


class BadExpression(ValueError):
    """The text is no expression of the wanted type over these variables."""


class EvaluationFailed(Exception):
    """An expression has no value for this input.

    Attributes:
        exhausted: Whether it was stopped for its cost.
    """

    def __init__(self, message: str, *, exhausted: bool = False) -> None:
        super().__init__(message)
        self.exhausted = exhausted


def without_literals(expression: str) -> str:
    """Return the expression with its string literals emptied."""
    return _LITERAL.sub("''", expression)


def growth(expression: str) -> float:
    """Return how many times larger than its input a value may become that the expression builds on the way.

    A chain of ``.map(a, a + a)`` doubles at each step, within few iterations; so the number of places that build
    from what was built, and of those that add, is what counts.
    """
    bare = without_literals(expression)
    builders, multipliers = len(_BUILDER.findall(bare)), len(_MULTIPLIER.findall(bare))
    steps = max(1, builders)
    return float((multipliers / steps + 1) ** steps)


class Expression:
    """A compiled expression.

    Args:
        source: Its text.
        variables: Its variables' types.
        results: The types its value may have; one that is only known at run time is checked then.

    Raises:
        BadExpression: It does not compile, or costs too much.
    """

    def __init__(self, source: str, variables: Mapping[str, Type], results: tuple[Type, ...]) -> None:
        if len(source) > LONGEST or growth(source) > MOST_GROWTH:
            raise BadExpression("estimated rule cost exceeds budget")
        environment = _environment(tuple(sorted((name, kind.name()) for name, kind in variables.items())))
        try:
            self._program = environment.compile(source)
        except RuntimeError as error:
            raise BadExpression(_STATUS.sub("", str(error))) from error
        kind = self._program.return_type()
        if kind not in (*results, Type.DYN):
            wanted = " or ".join(each.name().lower() for each in results)
            raise BadExpression(f"must evaluate to a {wanted}, not a {kind.name().lower()}")

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Return the value over these variables.

        Raises:
            EvaluationFailed: There is none: a key that is not there, a division by zero, a cost out of bounds.
        """
        try:
            result = self._program.eval(data=values)
        except RuntimeError as error:
            exhausted = "budget exceeded" in str(error)
            why = "operation cancelled: actual cost limit exceeded" if exhausted else str(error)
            raise EvaluationFailed(why, exhausted=exhausted) from error
        if result.type() == Type.ERROR:
            raise EvaluationFailed(_reason(str(result.value())))
        return result.plain_value()


def _reason(text: str) -> str:
    missing = _NO_KEY.search(text)
    if missing is not None:
        return f"no such key: {missing[1]}"
    return text.partition(": ")[2] or text


@lru_cache(maxsize=64)
def _environment(variables: tuple[tuple[str, str], ...]) -> Any:
    return cel.NewEnv(
        variables={name: _type_named(kind) for name, kind in variables},
        extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional(), ext_bindings.ExtBindings()],
        functions=_functions(),
    )


def _type_named(name: str) -> Type:
    return Type(name.lower())


def _functions() -> list[Any]:
    return [
        cel.FunctionDecl(name, [_overload(name, index, *each) for index, each in enumerate(overloads)])
        for name, overloads in _FUNCTIONS.items()
    ]


def _overload(name: str, index: int, member: bool, result: Type, parameters: tuple[Type, ...], impl: _Impl) -> Any:
    return cel.Overload(f"k8s_{name}_{index}", result, list(parameters), member, impl)


# Kubernetes' own types (quantities, addresses, URLs) are maps with one entry here: equal ones are equal maps.


def _quantity(text: str) -> dict[str, str]:
    return {"quantity": str(Fraction(parse_quantity(text)))}


def _amount(value: Any) -> Fraction:
    return Fraction(value["quantity"]) if isinstance(value, dict) else Fraction(value)


def _is(make: Callable[[str], Any]) -> Callable[[str], bool]:
    def is_one(text: str) -> bool:
        try:
            make(text)
        except ValueError:
            return False
        return True

    return is_one


def _compare(one: Any, other: Any) -> int:
    left, right = _amount(one), _amount(other)
    return (left > right) - (left < right)


def _plus(one: Any, other: Any) -> dict[str, str]:
    return {"quantity": str(_amount(one) + _amount(other))}


def _minus(one: Any, other: Any) -> dict[str, str]:
    return {"quantity": str(_amount(one) - _amount(other))}


def _ip(text: str) -> dict[str, str]:
    return {"ip": str(ipaddress.ip_address(text))}


def _address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(value["ip"] if isinstance(value, dict) else value)


def _cidr(text: str) -> dict[str, str]:
    if "/" not in text:
        raise ValueError("a CIDR has a prefix length")
    return {"cidr": str(ipaddress.ip_interface(text))}


def _network(value: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_interface(value["cidr"] if isinstance(value, dict) else value).network


def _contains_ip(outer: Any, inner: Any) -> bool:
    return _address(inner) in _network(outer)


def _contains_cidr(outer: Any, inner: Any) -> bool:
    one, other = _network(outer), _network(inner)
    return one.version == other.version and other.subnet_of(one)  # type: ignore[arg-type]  # versions agree


def _url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    if not (parts.scheme and parts.netloc) and not text.startswith("/"):
        raise ValueError("a URL is absolute, or a path")
    return {"url": text}


def _part(name: str) -> _Impl:
    return lambda value: str(getattr(urlsplit(value["url"]), name) or "")


def _find(text: str, pattern: str) -> str:
    found = re2.search(pattern, text)
    return "" if found is None else str(found[0])


def _find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    found = (each[0] for each in re2.finditer(pattern, text))
    return list(found if most < 0 else islice(found, most))


def _members(items: list[Any]) -> set[Any]:
    """Return a list's members for comparing lists as sets, in time that grows with the list, not with its square."""
    return {
        orjson.dumps(item, option=orjson.OPT_SORT_KEYS) if isinstance(item, dict | list) else item for item in items
    }


_BOOL, _INT, _STRING, _DYN, _LIST, _OWN = Type.BOOL, Type.INT, Type.STRING, Type.DYN, Type.LIST, Type.MAP
_Row = tuple[bool, Type, tuple[Type, ...], _Impl]


def _method(result: Type, impl: _Impl, *parameters: Type) -> _Row:
    """Return a method of one of Kubernetes' own types."""
    return (True, result, (_OWN, *parameters), impl)


def _of_sets(impl: Callable[[set[Any], set[Any]], bool]) -> _Row:
    """Return a function of two lists that are taken as sets."""
    return (False, _BOOL, (_LIST, _LIST), lambda one, other: impl(_members(one), _members(other)))


def _function(result: Type, impl: _Impl) -> _Row:
    """Return a function of a string."""
    return (False, result, (_STRING,), impl)


_FUNCTIONS: Final[dict[str, list[_Row]]] = {
    "isSorted": [(True, _BOOL, (_LIST,), lambda items: all(a <= b for a, b in pairwise(items)))],
    "sum": [(True, _DYN, (_LIST,), sum)],
    "min": [(True, _DYN, (_LIST,), min)],
    "max": [(True, _DYN, (_LIST,), max)],
    "find": [(True, _STRING, (_STRING, _STRING), _find)],
    "findAll": [
        (True, Type.List(_STRING), (_STRING, _STRING), _find_all),
        (True, Type.List(_STRING), (_STRING, _STRING, _INT), _find_all),
    ],
    "sets.contains": [_of_sets(set.issuperset)],
    "sets.equivalent": [_of_sets(set.__eq__)],
    "sets.intersects": [_of_sets(lambda one, other: not one.isdisjoint(other))],
    "quantity": [_function(_OWN, _quantity)],
    "isQuantity": [_function(_BOOL, _is(_quantity))],
    "sign": [_method(_INT, lambda value: _compare(value, 0))],
    "isInteger": [_method(_BOOL, lambda value: _amount(value).denominator == 1)],
    "asInteger": [_method(_INT, lambda value: int(_amount(value)))],
    "asApproximateFloat": [_method(Type.DOUBLE, lambda value: float(_amount(value)))],
    "add": [_method(_OWN, _plus, _OWN), _method(_OWN, _plus, _INT)],
    "sub": [_method(_OWN, _minus, _OWN), _method(_OWN, _minus, _INT)],
    "isGreaterThan": [_method(_BOOL, lambda one, other: _compare(one, other) > 0, _OWN)],
    "isLessThan": [_method(_BOOL, lambda one, other: _compare(one, other) < 0, _OWN)],
    "compareTo": [_method(_INT, _compare, _OWN)],
    "ip": [_function(_OWN, _ip), _method(_OWN, lambda value: _ip(value["cidr"].partition("/")[0]))],
    "isIP": [_function(_BOOL, _is(_ip))],
    "ip.isCanonical": [_function(_BOOL, lambda text: _ip(text)["ip"] == text)],
    "family": [_method(_INT, lambda value: _address(value).version)],
    "isUnspecified": [_method(_BOOL, lambda value: _address(value).is_unspecified)],
    "isLoopback": [_method(_BOOL, lambda value: _address(value).is_loopback)],
    "isGlobalUnicast": [_method(_BOOL, lambda value: _is_global_unicast(_address(value)))],
    "cidr": [_function(_OWN, _cidr)],
    "isCIDR": [_function(_BOOL, _is(_cidr))],
    "containsIP": [_method(_BOOL, _contains_ip, _STRING), _method(_BOOL, _contains_ip, _OWN)],
    "containsCIDR": [_method(_BOOL, _contains_cidr, _STRING), _method(_BOOL, _contains_cidr, _OWN)],
    "masked": [_method(_OWN, lambda value: {"cidr": str(_network(value))})],
    "prefixLength": [_method(_INT, lambda value: _network(value).prefixlen)],
    "url": [_function(_OWN, _url)],
    "isURL": [_function(_BOOL, _is(_url))],
    "getScheme": [_method(_STRING, _part("scheme"))],
    "getHost": [_method(_STRING, _part("netloc"))],
    "getHostname": [_method(_STRING, _part("hostname"))],
    "getPort": [_method(_STRING, _part("port"))],
    "getEscapedPath": [_method(_STRING, lambda value: quote(urlsplit(value["url"]).path, safe="/%"))],
    "getQuery": [_method(_DYN, lambda value: parse_qs(urlsplit(value["url"]).query, keep_blank_values=True))],
}


def _is_global_unicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)
