from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edgecore.node.identity import DataFolder, Identity, load_identity, save_identity, write_private
from protocol.errors import UsageError
from protocol.objects.keys import NodeName

WHO = Identity(NodeName("edge-1"), "i-1", "https://c:10002", {"websocket": ("wss://c:1",)}, ("process",), {"a": "b"})


def test_an_identity_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    save_identity(folder, WHO)
    assert load_identity(folder) == WHO
    assert stat.S_IMODE(folder.identity.stat().st_mode) == 0o600


def test_a_folder_that_was_never_joined_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run `edgecore join` first"):
        load_identity(DataFolder(tmp_path))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"node": "x"}', '{"node": "x", "hub": []}'])
def test_a_torn_identity_is_one_line(tmp_path: Path, content: str) -> None:
    folder = DataFolder(tmp_path)
    folder.identity.write_text(content)
    with pytest.raises(UsageError, match="join again"):
        load_identity(folder)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_private(path, b"before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"after")
    assert path.read_bytes() == b"before"


def test_the_data_folder_lets_pods_of_other_users_through(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "edge")
    folder.make()
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o711
