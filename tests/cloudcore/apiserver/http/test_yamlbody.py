from __future__ import annotations

import pytest

from cloudcore.apiserver.http.yamlbody import load


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a: 1\na: 2", ["a"]),
        ("a: {b: 1, c: [{d: 1, d: 2}], b: 3}", ["d", "b"]),
        ("a: 1\n? b\n: a\n? a\n: b", ["a"]),
        ("a: a\nb: a\nc: [a, a]", []),
        ("- a: 1\n- a: 2", []),
        ("a: {a: {a: a}}", []),
        ("x: &x {a: 1}\ny: &y {b: 1}\nz: {<<: *x, <<: *y, a: 2}", []),
    ],
)
def test_keys_that_a_map_gives_twice_are_found(text: str, keys: list[str]) -> None:
    assert [slip.path for slip in load(text.encode()).repeated] == keys


def test_a_slip_names_its_line() -> None:
    (slip,) = load(b"a: 1\nb: 2\na: 3\n").repeated
    assert slip.text == 'line 3: key "a" already set in map'
