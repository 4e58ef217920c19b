"""What stands in a URL or a field as text: queries, selectors, amounts, durations, times, JSON paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloudcore.apiserver.custom.jsonpath import BadPath, parse
from cloudcore.apiserver.http.query import Query, split_target
from cloudcore.errors import ApiError
from protocol.objects.durations import parse_duration
from protocol.objects.quantities import base_units, milli, parse_quantity, whole
from protocol.objects.selectors import matches, parse_field_selector, parse_label_selector
from protocol.objects.times import parse_timestamp, timestamp
from tests.fuzz.bounds import at_most

FACTOR: Final = 1024
LABELS: Final = {"app": "web", "tier": "7", "": "x"}
DOCUMENT: Final = {"spec": {"items": [{"name": "a", "n": 1}, {"name": "b", "on": True}, 3], "x.y": "z"}}


def one_input(data: bytes) -> None:
    """Read ``data`` as each of them, as its first byte says."""
    if not data:
        return
    with at_most(len(data), FACTOR):
        READERS[data[0] % len(READERS)](data[1:].decode(errors="replace"))


def _query(text: str) -> None:
    _, query = split_target(text)
    for read in (Query.dry_run, Query.field_validation):
        try:
            read.__get__(query)
        except ApiError:
            pass
    for name in list(query.values)[:8]:
        query.text(name)
        for convert in (query.flag, query.number):
            try:
                convert(name)
            except ApiError:
                pass


def _labels(text: str) -> None:
    try:
        matches(parse_label_selector(text), LABELS)
    except ValueError:
        pass


def _fields(text: str) -> None:
    try:
        matches(parse_field_selector(text), LABELS)
    except ValueError:
        pass


def _amount(text: str) -> None:
    try:
        amount = parse_quantity(text)
    except ValueError:
        return
    assert whole(text) >= amount or amount > whole(text) == 2**63 - 1
    milli(text)
    base_units("cpu", text)


def _duration(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError:
        pass


def _time(text: str) -> None:
    try:
        at_s = parse_timestamp(text)
    except ValueError:
        return
    if 0 <= at_s < 4e10:
        assert parse_timestamp(timestamp(at_s)) == int(at_s)


def _path(text: str) -> None:
    try:
        path = parse(text)
    except BadPath:
        return
    path.first(DOCUMENT)


READERS: Final = (_query, _labels, _fields, _amount, _duration, _time, _path)


def seeds() -> Iterable[bytes]:
    """Return some of each."""
    yield b"\x00/api/v1/pods?watch=1&limit=5&continue=x&dryRun=All&fieldValidation=Strict&timeoutSeconds=7&%zz=%"
    yield b"\x01app=web,tier!=db,zone in (a, b),!legacy,n>3,m notin (x)"
    yield b"\x02metadata.name=x,spec.nodeName!=y"
    yield from (b"\x03" + each for each in (b"100m", b"1.5Gi", b"-1e3", b"1E", b".5", b"1e-999", b"9e999"))
    yield from (b"\x04" + each for each in (b"90", b"1h30m", b"2d", b"999999999999999999999s"))
    yield from (b"\x05" + each for each in (b"2026-11-23T12:00:00Z", b"0001-01-01T00:00:00+23:59", b"2026-W01"))
    yield b'\x06{.spec.items[?(@.name=="b")].on}'
    yield b"\x06.spec['x\\.y'][*][-1]"
