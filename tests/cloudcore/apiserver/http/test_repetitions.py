from __future__ import annotations

from cloudcore.apiserver.http.repetitions import repetitions


def test_fields_that_are_named_twice_are_found() -> None:
    text = b'{"data":{"a":"1","a":"2","b":"3"},"spec":{"items":[{"x":1},{"x":1,"y":2,"x":3}]},"kind":"A","kind":"B"}'
    assert [slip.path for slip in repetitions(text)] == ["kind", "data.a", "spec.items[1].x"]
    assert repetitions(text)[0].text == 'duplicate field "kind"'


def test_a_name_may_come_again_elsewhere() -> None:
    assert repetitions(b'{"a":{"b":1},"b":{"b":2},"c":[{"b":1},{"b":2}]}') == []
