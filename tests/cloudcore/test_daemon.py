"""The daemon's process, as far as it can be looked at from within another."""

from __future__ import annotations

import resource

import pytest

from cloudcore import daemon


def test_it_takes_all_the_open_files_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1024, 65536))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: taken.append((what, limits)))
    daemon.raise_file_limit()
    assert taken == [(resource.RLIMIT_NOFILE, (65536, 65536))]
