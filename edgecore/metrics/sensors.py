"""Temperature, where the machine has sensors: the kernel's thermal zones and hardware monitors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

COLDEST_C: Final = -60.0
HOTTEST_C: Final = 150.0
"""What lies outside is a sensor that is not connected: many then tell 255, or absolute zero."""


class Sensors:
    """The temperature sensors of this machine, found once.

    Args:
        root: Where ``sysfs`` is mounted.
    """

    def __init__(self, root: Path = Path("/sys")) -> None:
        self._sensors = [*_zones(root / "class" / "thermal"), *_monitors(root / "class" / "hwmon")]

    def temperatures(self) -> dict[str, float]:
        """Return what each sensor that answers shows, degrees Celsius, by its name."""
        read = ((name, _celsius(path)) for name, path in self._sensors)
        return {name: celsius for name, celsius in read if celsius is not None}

    def hottest(self) -> float | None:
        """Return the highest temperature, degrees Celsius; None where there is no sensor."""
        return max(self.temperatures().values(), default=None)


def _zones(folder: Path) -> Iterator[tuple[str, Path]]:
    for zone in sorted(folder.glob("thermal_zone*")):
        yield f"{zone.name}:{_line(zone / 'type')}", zone / "temp"


def _monitors(folder: Path) -> Iterator[tuple[str, Path]]:
    for sensor in sorted(folder.glob("hwmon*/temp*_input")):
        yield f"{sensor.parent.name}:{_line(sensor.parent / 'name')}:{sensor.name.removesuffix('_input')}", sensor


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _celsius(path: Path) -> float | None:
    try:
        celsius = int(path.read_bytes()) / 1000
    except (OSError, ValueError):
        return None
    return celsius if COLDEST_C <= celsius <= HOTTEST_C else None
