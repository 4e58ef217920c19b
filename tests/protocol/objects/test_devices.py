"""The bodies of items about devices."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.devices import MalformedReports, Report, decode_reports, encode_reports, model_of

reports = st.builds(
    Report, st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**62), st.integers(min_value=0, max_value=2**62)
)


@given(st.lists(reports, max_size=5))
def test_reports_come_back_as_they_went(several: list[Report]) -> None:
    assert decode_reports(encode_reports(several)) == several


@given(st.binary(max_size=60))
def test_any_bytes_are_reports_or_malformed(body: bytes) -> None:
    try:
        assert all(isinstance(report, Report) for report in decode_reports(body))
    except MalformedReports:
        pass


@pytest.mark.parametrize(
    "rows",
    [
        {"a": 1},
        [["default", "d", "p", "v", 1]],
        [["default", "d", "p", 5, 1, 2]],
        [["default", "d", "p", "v", "1", 2]],
        [["default", "d", "p", "v", True, 2]],
    ],
)
def test_rows_of_another_shape_are_refused(rows: object) -> None:
    with pytest.raises(MalformedReports):
        decode_reports(msgpack.packb(rows))


def test_the_model_is_the_one_referred_to() -> None:
    assert model_of({"spec": {"deviceModelRef": {"name": "thermostat"}}}) == "thermostat"
    assert model_of({"spec": {"deviceModelRef": "thermostat"}}) == ""
    assert model_of({}) == ""
