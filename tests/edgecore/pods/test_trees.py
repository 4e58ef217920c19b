from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgecore.pods.trees import remove_tree


def nest(path: Path, depth: int) -> None:
    """Make folders in one another, deeper than a path may be long."""
    path.mkdir()
    folder = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=folder)
        with os.fdopen(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder), "w") as file:
            file.write("x")
        inner = os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


def test_a_tree_deeper_than_recursion_and_paths_go_is_removed(tmp_path: Path) -> None:
    nest(tmp_path / "tree", 1200)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_wide_tree_with_names_of_our_own_is_removed(tmp_path: Path) -> None:
    for outer in ("a", "..1", "..2"):
        for inner in ("..1", "..2", "..3", "x"):
            (tmp_path / "tree" / outer / inner / "deep").mkdir(parents=True)
            (tmp_path / "tree" / outer / inner / "deep" / "file").write_text("x")
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept" / "folder").mkdir(parents=True)
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "inner" / "link").symlink_to(tmp_path / "kept" / "folder")
    (tmp_path / "tree" / "broken").symlink_to("nowhere")
    remove_tree(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "folder").is_dir()


def test_folders_without_rights_are_removed(tmp_path: Path) -> None:
    (tmp_path / "tree" / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "closed" / "inner" / "file").write_text("x")
    for closed in (tmp_path / "tree" / "closed" / "inner", tmp_path / "tree" / "closed"):
        closed.chmod(0)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "file", "link"])
def test_what_is_no_folder_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "path"
    if kind == "file":
        path.write_text("x")
    elif kind == "link":
        (tmp_path / "folder").mkdir()
        path.symlink_to(tmp_path / "folder")
    remove_tree(path)
    assert os.path.lexists(path) is (kind != "missing")
