from __future__ import annotations

from pathlib import Path

from cloudcore.config import load
from cloudcore.hub.settings import HubSettings


def test_the_hub_takes_its_share_of_the_settings(tmp_path: Path) -> None:
    flags = {"data_dir": str(tmp_path), "link_daily_bytes": 5, "link_batch_bytes": 4096, "node_grace_s": 60.4}
    settings = HubSettings.of(load(flags, None))
    assert (settings.daily_bytes, settings.link.batch_bytes, settings.lease_duration_s) == (5, 4096, 60)
    assert settings.heartbeat_s == 10.0
