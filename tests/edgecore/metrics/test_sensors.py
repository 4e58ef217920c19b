from __future__ import annotations

from pathlib import Path

from edgecore.metrics.sensors import Sensors


def sensor(path: Path, value: str, **named: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
    for name, text in named.items():
        (path.parent / name).write_text(text)


def test_zones_and_monitors_are_read(tmp_path: Path) -> None:
    sensor(tmp_path / "class/thermal/thermal_zone0/temp", "45123\n", type="cpu-thermal\n")
    sensor(tmp_path / "class/hwmon/hwmon0/temp1_input", "51500\n", name="nvme\n")
    sensors = Sensors(tmp_path)
    assert sensors.temperatures() == {"thermal_zone0:cpu-thermal": 45.123, "hwmon0:nvme:temp1": 51.5}
    assert sensors.hottest() == 51.5


def test_a_machine_without_sensors_has_no_temperature(tmp_path: Path) -> None:
    assert Sensors(tmp_path).temperatures() == {}
    assert Sensors(tmp_path / "missing").hottest() is None


def test_sensors_that_are_not_connected_or_fail_are_left_out(tmp_path: Path) -> None:
    for number, value in enumerate(("-273000", "255000", "", "warm", "-40000")):
        sensor(tmp_path / f"class/thermal/thermal_zone{number}/temp", value)
    sensors = Sensors(tmp_path)
    assert list(sensors.temperatures().values()) == [-40.0]
    (tmp_path / "class/thermal/thermal_zone4/temp").unlink()
    assert sensors.hottest() is None
