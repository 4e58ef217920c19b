"""What ``cloudcore twin`` shows."""

from __future__ import annotations

import pytest

from cloudcore.twins import show, twin_of

DEVICE = {
    "spec": {
        "nodeName": "n1",
        "deviceModelRef": {"name": "thermostat"},
        "properties": [{"name": "target", "desired": {"value": "21"}}, {"name": "temperature"}],
    },
    "status": {
        "state": "online",
        "twins": [
            {"propertyName": "target", "observedDesired": {"value": "20"}, "reported": {"value": "19"}},
            {"propertyName": "extra", "reported": {"value": "[red]\x1b[2J"}},
        ],
        "extensions": {"conflicts": [{"property": "target", "lost": "18", "won": "21", "at": "2026-11-23T12:00:00Z"}]},
    },
}


def test_a_row_says_what_is_wanted_known_and_reported() -> None:
    rows = {row["property"]: row for row in twin_of("default", "hall", DEVICE)["properties"]}
    assert set(rows) == {"target", "temperature", "extra"}
    assert [rows["target"][each] for each in ("desired", "atTheEdge", "reported")] == ["21", "20", "19"]
    assert rows["temperature"]["reported"] is None


def test_a_device_cannot_write_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [{"time": "2026-11-23T12:00:00.000000Z", "property": "p", "value": "\x1b]0;x\x07"}]
    show(twin_of("default", "hall", DEVICE) | {"history": {"held": 1, "dropped": 2, "reports": reports}})
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]" in shown
    assert "1 reports held, 2 dropped" in shown


def test_a_device_that_has_said_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show(twin_of("default", "hall", {}))
    assert "never seen" in capsys.readouterr().out
