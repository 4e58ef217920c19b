from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.expressions import (
    MOST_GROWTH,
    BadExpression,
    EvaluationFailed,
    Expression,
    Type,
    growth,
    without_literals,
)

SELF = {"self": Type.DYN}
VALUE = {"a": 2, "list": [3, 1], "text": "a-b"}


def evaluate(source: str, value: Any = VALUE) -> Any:
    return Expression(source, SELF, (Type.BOOL,)).evaluate({"self": value})


@pytest.mark.parametrize(
    "source",
    [
        "self.a == 2 && has(self.list) && !has(self.other)",
        "self.list.all(x, x > 0) && self.list.exists(x, x == 3) && self.list.size() == 2",
        "self.text.split('-')[1] == 'b' && self.text.startsWith('a') && self.text.matches('^a')",
        "self.?other.orValue(5) == 5",
        "!self.list.isSorted() && self.list.sum() == 4 && self.list.min() == 1 && self.list.max() == 3",
        "quantity('1Gi').isGreaterThan(quantity('1Mi')) && quantity('100m').isLessThan(quantity('1'))",
        "quantity('1').add(quantity('500m')) == quantity('1500m') && quantity('2').sub(1) == quantity('1')",
        "quantity('2k').asInteger() == 2000 && quantity('2').isInteger() && quantity('-1').sign() == -1",
        "quantity('1').compareTo(quantity('1000m')) == 0 && quantity('1500m').asApproximateFloat() == 1.5",
        "isQuantity('1Gi') && !isQuantity('much')",
        "ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('10.0.0') && ip('127.0.0.1').isLoopback()",
        "ip('0.0.0.0').isUnspecified() && ip('8.8.8.8').isGlobalUnicast() && ip.isCanonical('::1')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.0.0.0/8').containsCIDR(cidr('::/8'))",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.1.2.3/8').prefixLength() == 8",
        "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.1')",
        "url('https://a.b:80/x?y=1').getHost() == 'a.b:80' && url('https://a.b:80/').getHostname() == 'a.b'",
        "url('https://a.b:80/x y?y=1').getPort() == '80' && url('https://a/x y').getEscapedPath() == '/x%20y'",
        "url('https://a/?y=1&y=2').getQuery()['y'] == ['1', '2'] && url('https://a/').getScheme() == 'https'",
        "isURL('https://a/') && isURL('/path') && !isURL('a b')",
        "'a12b345'.find('[0-9]+') == '12' && 'ab'.find('[0-9]') == '' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
        "'a1b2'.findAll('[0-9]', 1) == ['1'] && 'a1'.findAll('[0-9]', 0) == [] && 'a1'.findAll('x', -1).size() == 0",
        "sets.contains(self.list, [1]) && !sets.contains(self.list, [9]) && sets.intersects(self.list, [1, 9])",
        "sets.equivalent([1, 2, 2], [2, 1]) && !sets.intersects([1], []) && sets.contains([{'a': 1}], [{'a': 1}])",
        "timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z') && duration('1h') > duration('5m')",
    ],
)
def test_what_rules_may_say(source: str) -> None:
    assert evaluate(source) is True


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("self.", "Syntax error"),
        ("nosuch(1)", "undeclared reference to 'nosuch'"),
        ("other == 1", "undeclared reference to 'other'"),
        ("1 + 'a' == 2", "no matching overload"),
        ("1 + 1", "must evaluate to a bool, not a int"),
        ("(" * 100 + "true" + ")" * 100, "recursion limit"),
        ("[self]" + ".map(a, a + a)" * 20 + ".size() > 0", "estimated rule cost exceeds budget"),
        ("true || " * 2000 + "true", "estimated rule cost exceeds budget"),
    ],
)
def test_what_does_not_compile_is_refused(source: str, why: str) -> None:
    with pytest.raises(BadExpression, match=why):
        Expression(source, SELF, (Type.BOOL,))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("self.other == 1", "no such key: other"),
        ("1 / 0 == 1", "divide by zero"),
        ("self.a + 'x' == ''", "No matching overloads"),
        ("self.text.matches('(')", "invalid regular expression"),
        ("self.text.find('(') == ''", "missing"),
    ],
)
def test_what_has_no_value_is_said(source: str, why: str) -> None:
    with pytest.raises(EvaluationFailed, match=why) as caught:
        evaluate(source)
    assert not caught.value.exhausted


def test_iterations_are_bounded() -> None:
    numbers = list(range(200))
    with pytest.raises(EvaluationFailed, match="cost limit exceeded") as caught:
        evaluate("self.all(x, self.exists_one(y, x == y))", numbers)
    assert caught.value.exhausted


def test_types_that_are_known_are_checked_at_once() -> None:
    with pytest.raises(BadExpression, match="no matching overload"):
        Expression("self > 'a'", {"self": Type.INT}, (Type.BOOL,))


def test_growth_counts_what_builds_on_what_was_built() -> None:
    assert growth("self.a > 1") == 1
    assert growth("self.map(a, a)") == 1
    assert growth("[self].map(a, a + a)") == 2
    assert growth("[self].map(a, a + a).map(a, a + a)") == 4
    assert growth("self.note == '.map(a, a + a)'") == 1
    assert growth("[self]" + ".map(a, a + a)" * 14) > MOST_GROWTH


def test_literals_are_no_code() -> None:
    assert without_literals("self.a == 'oldSelf' + \"it's\" + r'\\d'") == "self.a == '' + '' + ''"
