from __future__ import annotations

from pathlib import Path

import pytest

from edgecore.cgroups.discovery import Hierarchies, Hierarchy
from edgecore.cgroups.place import Place, choose, is_delegated, settle


def v2(point: Path, own: str, *, real_root: bool = True) -> Hierarchies:
    place = Hierarchy(point, point / own, real_root)
    return Hierarchies(2, {"cpu": place, "memory": place, "pids": place})


def folder_of(place: Place) -> Path:
    return next(iter(place.folders.values()))


def test_what_systemd_has_given_is_used(tmp_path: Path) -> None:
    unit = tmp_path / "system.slice/edgecore.service"
    place = choose(v2(tmp_path, f"{unit}/agent"), "e1", root=True, delegated=lambda folder: folder == unit)
    assert (folder_of(place), place.path, place.vacated) == (unit / "pods", "system.slice/edgecore.service/pods", ())


def test_root_leaves_a_unit_alone_that_systemd_could_not_start_again(tmp_path: Path) -> None:
    unit = tmp_path / "system.slice/edgecore.service"
    place = choose(v2(tmp_path, str(unit)), "e1", root=True, delegated=lambda folder: folder == unit)
    assert (folder_of(place), place.vacated) == (tmp_path / "aiokubeedge/e1", ())


def test_who_is_not_root_moves_out_of_the_way(tmp_path: Path) -> None:
    unit = tmp_path / "user.slice/edgecore.service"
    place = choose(v2(tmp_path, str(unit)), "e1", root=False, delegated=lambda folder: False)
    assert (folder_of(place), place.vacated) == (unit / "pods", (unit,))


def test_a_container_vacates_what_it_sees_as_the_top(tmp_path: Path) -> None:
    place = choose(v2(tmp_path, "", real_root=False), "e1", root=True)
    assert place.vacated == (tmp_path,)


@pytest.mark.parametrize("version", [1, 2])
def test_a_path_that_is_set(tmp_path: Path, version: int) -> None:
    seen = v2(tmp_path, "somewhere")
    place = choose(Hierarchies(2 if version == 2 else 1, seen.controllers), "e1", "/edge/pods", root=True)
    assert (folder_of(place), place.path) == (tmp_path / "edge/pods", "edge/pods")


def test_settling_gives_groups_their_controllers_and_moves_processes_away(tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    for folder in (tmp_path, unit, unit / "agent", unit / "pods"):
        folder.mkdir(exist_ok=True)
        for name, content in (
            ("cgroup.procs", ""),
            ("cgroup.controllers", "cpu memory"),
            ("cgroup.subtree_control", ""),
        ):
            (folder / name).write_text(content)
    (unit / "cgroup.procs").write_text("42\n")
    seen = v2(tmp_path, "unit")
    driver = settle(seen, choose(seen, "e1", root=False, delegated=lambda folder: False))
    assert driver.controllers == {"cpu", "memory"}
    assert (unit / "agent/cgroup.procs").read_text() == "42"
    assert (unit / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_without_rights_nothing_is_settled(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"Permission denied|No such file"):
        settle(v2(tmp_path, ""), choose(v2(tmp_path, ""), "e1", root=True))


def test_a_folder_of_another_file_system_is_not_delegated(tmp_path: Path) -> None:
    assert not is_delegated(tmp_path)
