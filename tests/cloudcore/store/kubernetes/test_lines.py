from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.errors import InternalError
from cloudcore.store.kubernetes.lines import Lines


@given(st.lists(st.binary(max_size=12)), st.integers(min_value=1, max_value=9))
def test_lines_are_the_same_however_they_are_cut(texts: list[bytes], size: int) -> None:
    texts = [text.replace(b"\n", b"") for text in texts]
    stream = b"".join(text + b"\n" for text in texts)
    lines, found = Lines(), []
    for start in range(0, len(stream), size):
        found += lines.feed(stream[start : start + size])
    assert found == [text for text in texts if text]


def test_an_unfinished_line_waits() -> None:
    lines = Lines()
    assert lines.feed(b'{"a"') == []
    assert lines.feed(b":1}\n{") == [b'{"a":1}']
    assert lines.feed(b"}\n\n") == [b"{}"]


def test_a_line_without_end_is_refused() -> None:
    lines = Lines(limit=10)
    lines.feed(b"12345\n1234567890")
    with pytest.raises(InternalError, match="over 10 bytes"):
        lines.feed(b"1")
