"""A device's agent is upgraded in place and rolled back: its pods never notice, and nothing that it owed is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgecore.meta.schema import MIGRATIONS, open_database
from edgecore.node.identity import DataFolder
from tests.support.clusters import container_status, held_by, log_lines, pod, pod_processes, running_cluster

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "edge-1"
NEWER = (*MIGRATIONS, ("ALTER TABLE objects ADD COLUMN seen INTEGER NOT NULL DEFAULT 0", "CREATE TABLE more (x)"))


async def test_an_older_agent_adopts_what_a_newer_one_ran(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
        edge = await cluster.add_edge(NODE)
        await cluster.api.create("pods", pod("lasting", "sleep 3600", nodeName=NODE))
        body = await cluster.pod_is("lasting")
        runs = pod_processes(edge)[body["metadata"]["uid"]]
        await edge.daemon.stop()
        database = DataFolder(edge.data_dir).meta
        open_database(database, NEWER)[0].close()  # a newer agent was here
        await edge.start()
        await cluster.node_is(NODE, "True")
        await cluster.api.create("pods", pod("after", "exit 0", restartPolicy="Never", nodeName=NODE))
        await cluster.pod_is("after", "Succeeded")
        assert pod_processes(edge)[body["metadata"]["uid"]] == runs
        assert container_status(await cluster.pod_is("lasting"))["restartCount"] == 0
        said = [line for line in log_lines(edge.daemon) if line["event"] == "the meta database was a newer agent's"]
        assert [line["rows"] for line in said] == ["carried over"]
        assert held_by(edge).facts["complete"] == "yes"
        with closing(sqlite3.connect(database.with_name(f"{database.name}.v{len(NEWER)}"))) as kept:
            assert kept.execute("SELECT count(*) FROM objects WHERE seen=0").fetchone()[0] >= 1
