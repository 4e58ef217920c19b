from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cloudcore.healthcheck import fault_of
from cloudcore.sockets import write_run_file
from examples.demo.processes import Cloud
from tests.support.clusters import running_cluster


@pytest.mark.e2e
async def test_a_cloud_is_well_while_it_is_ready(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        cloud: Cloud = cluster.cloud
        assert await asyncio.to_thread(fault_of, cloud.data_dir) == ""
        await cloud.daemon.stop()
        assert (await asyncio.to_thread(fault_of, cloud.data_dir)).startswith("no answer")


def test_a_folder_that_no_cloud_has_used_is_told(tmp_path: Path) -> None:
    assert fault_of(tmp_path) == f"no cloudcore has run in {tmp_path}"
    write_run_file(tmp_path, {"ports": {}})
    assert fault_of(tmp_path).startswith("no answer")
