from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cloudcore import place
from cloudcore.config import Settings
from cloudcore.place import Cluster, Place
from cloudcore.sockets import read_run_file
from protocol.errors import UsageError


def on_free_ports(folder: Path) -> Settings:
    return Settings(data_dir=folder, listen="127.0.0.1", api_port=0, ws_port=0, enrol_port=0, metrics_port=0)


def disk_is_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_started_on_a_full_disk_it_says_so_and_gives_its_ports_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = on_free_ports(tmp_path)
    first = Place.open(settings, now=1_790_000_000.0)
    ports = first.ports
    first.close()
    monkeypatch.setattr(place, "write_admin_kubeconfig", disk_is_full)
    with pytest.raises(UsageError, match="No space left on device"):
        Place.open(settings.model_copy(update=ports), now=1_790_000_000.0)
    for port in ports.values():
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))


def test_a_disk_that_fills_up_while_it_starts_does_not_keep_it_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Place.open(on_free_ports(tmp_path), now=1_790_000_000.0)
    try:
        here.announce(ready=False)
        with monkeypatch.context() as patch:
            patch.setattr(place, "write_run_file", disk_is_full)
            with capture_logs() as logs:
                here.announce(ready=True)
        assert [line["event"] for line in logs] == ["this run is not recorded"]
        assert read_run_file(tmp_path)["ready"] is False
    finally:
        here.close()


def test_beside_a_cluster_there_is_neither_a_port_nor_an_administrator_of_an_own_api(tmp_path: Path) -> None:
    cluster = Cluster("https://10.0.0.1:443", tmp_path / "config", "far")
    opened = Place.open(on_free_ports(tmp_path), now=1_790_000_000.0, cluster=cluster)
    opened.announce(ready=True)
    recorded = read_run_file(tmp_path)
    opened.close()
    assert set(opened.sockets) == {"ws_port", "enrol_port", "metrics_port"}
    assert not (tmp_path / "admin.kubeconfig").exists()
    assert [recorded[name] for name in ("store", "api", "kubeconfig", "context")] == [
        "kubernetes",
        "https://10.0.0.1:443",
        str(tmp_path / "config"),
        "far",
    ]
