"""The section ``link`` of the settings: the same for both daemons."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudcore import config as cloud
from edgecore import config as edge
from protocol import linkconfiguration
from protocol.compression import Codec
from protocol.errors import UsageError
from protocol.linkconfiguration import LinkSection
from protocol.settings import LinkOptions, LinkSettings


def test_the_defaults_are_those_of_the_link() -> None:
    assert LinkSection().options == LinkOptions()
    assert LinkOptions().settings() == LinkSettings()


@pytest.mark.parametrize("daemon", [cloud, edge])
def test_flags_stand_above_environment_above_file_key_by_key(
    daemon: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "cloudcore" if daemon is cloud else "edgecore"
    (tmp_path / f"{name}.yaml").write_text("link:\n  linger_ms: 1\n  batch_bytes: 2048\n  max_records: 7\n")
    monkeypatch.setenv(f"{name.upper()}_LINK__BATCH_BYTES", "4096")
    monkeypatch.setenv(f"{name.upper()}_LINK__DAILY_BYTES", "1000000")
    load = cloud.load if daemon is cloud else edge.load
    link = load({"data_dir": str(tmp_path), "link_daily_bytes": 5, "link_compression": "none"}, None).link
    assert (link.linger_ms, link.batch_bytes, link.max_records, link.daily_bytes) == (1, 4096, 7, 5)
    settings = link.options.settings()
    assert (settings.linger_s, settings.window.items, settings.codec) == (0.001, 7, Codec.NONE)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"link_linger_ms": -1}, "setting link.linger_ms: .*greater than or equal to 0"),
        ({"link_batch_bytes": 1 << 30}, "setting link.batch_bytes: "),
        ({"link_max_records": 0}, "setting link.max_records: "),
        ({"link_compression": "gzip"}, "setting link.compression: .*'zstd', 'snappy' or 'none'"),
        ({"link_min_bytes": 40_000}, r"min_bytes \(40000\) is more than batch_bytes \(32768\)"),
        ({"link_colour": "red"}, "unknown setting 'link.colour'"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(flags: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        edge.load({"data_dir": str(tmp_path), **flags}, None)
    assert "\n" not in str(raised.value)


def test_a_codec_that_is_not_installed_is_refused_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkconfiguration, "available", lambda: frozenset({Codec.NONE, Codec.ZSTD}))
    with pytest.raises(UsageError, match=r"link.compression: .*pip install 'aiokubeedge\[snappy\]'"):
        cloud.load({"data_dir": str(tmp_path), "link_compression": "snappy"}, None)


def test_every_setting_is_documented() -> None:
    assert all(field.description for field in LinkSection.model_fields.values())
    assert set(LinkSection.model_fields) == set(LinkOptions.__dataclass_fields__)
