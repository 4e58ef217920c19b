"""The cloud daemon as an operator meets it: first run, ports, permissions, signals, restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cloudcore.sockets import read_run_file
from examples.demo.processes import BIN, Cloud, StepFailed
from tests.support.waiting import aeventually

pytestmark = pytest.mark.e2e


WITHOUT_OVERRIDE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Takes from root what other users do not have: opening files whatever their mode."""


async def run(*argv: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def cloudcore(*args: str) -> tuple[int, str, str]:
    return await run(str(BIN / "cloudcore"), *args)


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    made = Cloud(tmp_path)
    yield made
    await made.daemon.stop()


async def test_the_first_run_leaves_an_authority_and_a_kubeconfig_for_its_owner_alone(cloud: Cloud) -> None:
    await cloud.start()
    assert stat.S_IMODE(cloud.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE((cloud.data_dir / "pki" / "ca.key").stat().st_mode) == 0o600
    async with cloud.client() as api:
        namespaces = {body["metadata"]["name"] for body in await api.list("namespaces")}
        assert {"default", "kube-system", "kube-public", "kube-node-lease"} <= namespaces
        assert (await api.get("runtimeclasses.node.k8s.io", "", "process"))["handler"] == "process"


async def test_status_says_where_devices_join(cloud: Cloud) -> None:
    await cloud.start()
    status, out, _ = await cloudcore("status", f"--data-dir={cloud.data_dir}")
    assert status == 0
    assert f"running, pid {cloud.daemon.pid}" in out
    assert f"https://127.0.0.1:{cloud.ports['enrol_port']}" in out
    await cloud.daemon.stop()
    status, out, _ = await cloudcore("status", f"--data-dir={cloud.data_dir}")
    assert status == 1
    assert "not running" in out


async def test_what_was_stored_and_where_it_listened_outlives_sigkill(cloud: Cloud) -> None:
    await cloud.start()
    async with cloud.client() as api:
        await api.create("configmaps", {"metadata": {"name": "kept", "namespace": "default"}, "data": {"a": "b"}})
    ports = cloud.ports
    await cloud.daemon.kill()
    await cloud.start()
    assert cloud.ports == ports
    async with cloud.client() as api:
        assert (await api.get("configmaps", "default", "kept"))["data"] == {"a": "b"}


async def test_sigterm_ends_it_with_status_0_and_sighup_reloads_the_log_level(cloud: Cloud) -> None:
    await cloud.start()
    (cloud.data_dir / "cloudcore.yaml").write_text("log_level: debug\nws_port: 1\n")
    os.kill(cloud.daemon.pid, signal.SIGHUP)
    await aeventually(lambda: "settings reloaded" in cloud.daemon.tail())
    reloaded = next(json.loads(line) for line in cloud.daemon.tail().splitlines() if "settings reloaded" in line)
    assert reloaded["changed"] == ["log_level"]
    (cloud.data_dir / "cloudcore.yaml").write_text("log_level: loud\n")
    os.kill(cloud.daemon.pid, signal.SIGHUP)
    await aeventually(lambda: "settings were not reloaded" in cloud.daemon.tail())
    assert await cloud.daemon.stop() == 0


async def test_two_daemons_on_one_folder_are_one_too_many(cloud: Cloud) -> None:
    await cloud.start()
    status, _, err = await cloudcore("run", f"--data-dir={cloud.data_dir}", "--listen=127.0.0.1", "--api-port=0")
    assert status == 2
    assert "in use by another cloudcore" in err
    assert len(err.splitlines()) == 1
    assert read_run_file(cloud.data_dir)["pid"] == cloud.daemon.pid


@pytest.mark.parametrize("flag", ["--api-port", "--ws-port", "--enrol-port", "--metrics-port"])
async def test_an_explicit_port_in_use_is_one_line_and_status_2(flag: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = await cloudcore("run", f"--data-dir={tmp_path}", "--listen=127.0.0.1", f"{flag}={port}")
    assert status == 2
    assert f"port {port} is in use: give another with {flag}" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "--data-dir is needed"),
        (["run", "--data-dir=/proc/nowhere"], "data folder /proc/nowhere cannot be used"),
        (["run", "--data-dir=x", "--config=absent.yaml"], "no such file"),
        (["run", "--data-dir=x", "--listen=everywhere"], "an IP address of this machine is needed"),
        (["token", "create", "--data-dir=x", "--node=n"], "no cloudcore has run in x"),
        (["token", "create", "--data-dir=x", "--node=n", "--ttl=soon"], "'soon' is no duration"),
        (["nodes", "--data-dir=x"], "has `cloudcore run` run with this --data-dir?"),
        (["status", "--data-dir=x"], "no cloudcore has run in x"),
        (["restore", "--data-dir=.", "absent"], "there is no database absent"),
    ],
)
async def test_wrong_use_is_one_line_and_status_2(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = await cloudcore(*args)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


async def test_a_user_who_may_not_write_the_folder_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "somebody-elses"
    folder.mkdir(mode=0o555)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    status, _, err = await run(
        *WITHOUT_OVERRIDE, str(BIN / "cloudcore"), "run", f"--data-dir={folder / 'd'}", "--listen=127.0.0.1"
    )
    assert status == 2
    assert "cannot be used: Permission denied" in err
    assert len(err.splitlines()) == 1


async def test_commands_without_a_daemon_say_that_none_answers(cloud: Cloud) -> None:
    await cloud.start()
    await cloud.daemon.stop()
    status, _, err = await cloudcore("nodes", f"--data-dir={cloud.data_dir}")
    assert status == 1
    assert "is `cloudcore run` running?" in err


async def test_a_backup_of_the_live_database_restores(cloud: Cloud, tmp_path: Path) -> None:
    await cloud.start()
    async with cloud.client() as api:
        await api.create("configmaps", {"metadata": {"name": "early", "namespace": "default"}})
        assert (await cloudcore("backup", f"--data-dir={cloud.data_dir}", str(tmp_path / "copy")))[0] == 0
        await api.create("configmaps", {"metadata": {"name": "late", "namespace": "default"}})
    busy = await cloudcore("restore", f"--data-dir={cloud.data_dir}", str(tmp_path / "copy"))
    assert busy[0] == 2
    assert "in use" in busy[2]
    await cloud.daemon.stop()
    assert (await cloudcore("restore", f"--data-dir={cloud.data_dir}", str(tmp_path / "copy")))[0] == 0
    await cloud.start()
    async with cloud.client() as api:
        names = {body["metadata"]["name"] for body in await api.list("configmaps", "default")}
    assert names == {"early", "kube-root-ca.crt"}


async def test_metrics_are_served_on_loopback(cloud: Cloud) -> None:
    await cloud.start()
    url = f"http://127.0.0.1:{cloud.ports['metrics_port']}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    assert "aiokubeedge_nodes_connected 0.0" in text
    assert "aiokubeedge_loop_lag_seconds" in text


async def test_a_daemon_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, "--config=absent.yaml")
    with pytest.raises(StepFailed, match="no such file"):
        await cloud.start()
