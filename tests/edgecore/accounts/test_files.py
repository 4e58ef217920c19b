from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edgecore.accounts.files import TokenFiles
from edgecore.accounts.ledger import Owner, Token, Want, digest_of
from protocol.objects.keys import Uid

WANT = Want(Owner("shop", "reader", Uid("a1"), "web", Uid("p1")), "", 3607)


def token(text: str, came_at: float) -> Token:
    return Token(WANT, text, digest_of(text), came_at, 3607.0)


def test_tokens_come_back_as_they_were_kept_and_nobody_else_reads_them(tmp_path: Path) -> None:
    files = TokenFiles(tmp_path / "tokens")
    assert files.load() == []
    # The newer one came while the clock stood years earlier.
    tokens = [Token(WANT, "", digest_of("old"), 2e9, 3607.0), token("new", 5.0)]
    files.keep(Uid("p1"), tokens)
    assert files.load() == tokens
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "tokens" / "p1.json").stat().st_mode) == 0o600
    files.remove(Uid("p1"))
    assert list((tmp_path / "tokens").iterdir()) == []
    files.remove(Uid("p1"))


@pytest.mark.parametrize("content", [b"", b"[{}]", b"{", b'{"a": 1}', b"[1]", b"\xff", b"[" * 5000])
def test_a_damaged_file_is_passed_over(tmp_path: Path, content: bytes) -> None:
    files = TokenFiles(tmp_path)
    files.keep(Uid("p1"), [token("t", 1.0)])
    (tmp_path / "p0.json").write_bytes(content)
    assert files.load() == [token("t", 1.0)]


def test_a_token_that_is_not_that_of_its_digest_is_not_taken(tmp_path: Path) -> None:
    files = TokenFiles(tmp_path)
    files.keep(Uid("p1"), [Token(WANT, "forged", digest_of("t"), 1.0, 3607.0)])
    assert files.load() == []


@pytest.mark.parametrize("uid", ["../x", "", "a/b", ".."])
def test_a_uid_that_climbs_names_no_file(tmp_path: Path, uid: str) -> None:
    with pytest.raises(OSError, match="cannot name a file"):
        TokenFiles(tmp_path / "tokens").keep(Uid(uid), [token("t", 1.0)])
