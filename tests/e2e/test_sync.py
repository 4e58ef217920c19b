"""What a person sees of the link: `cloudcore sync`, `cloudcore trace` and kubectl, over real daemons."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from examples.demo.processes import Edge
from protocol.objects.keys import Body
from protocol.objects.resources import OBJECT_TRACES
from protocol.objects.times import parse_timestamp
from tests.support.clusters import QUICK, Cluster, config_map, pod, run, running_cluster, status_of
from tests.support.collectors import Collector, collector
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

STEPS = ("dispatched", "sent", "received", "applied", "acknowledged")


@pytest.fixture(scope="module")
def spans() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory, spans: Collector) -> AsyncIterator[Cluster]:
    flags = (*QUICK, f"--otlp-endpoint={spans.url}")
    async with running_cluster(tmp_path_factory.mktemp("sync"), *flags) as running:
        edge = await running.add_edge("seen")
        await running.api.create("configmaps", config_map("settings", colour="blue"))
        volumes = [{"name": "settings", "configMap": {"name": "settings"}}]
        await running.api.create("pods", pod("app", "sleep 3600", nodeName=edge.node, volumes=volumes))
        await running.pod_is("app", "Running")
        yield running


@contextmanager
def stopped(edge: Edge) -> Iterator[None]:
    """Hold the agent's process up: its connection stays open, and nobody answers on it."""
    os.kill(edge.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(edge.daemon.pid, signal.SIGCONT)


async def sync_of(cluster: Cluster, node: str = "seen") -> dict[str, Any]:
    outcome = await run("cloudcore", "sync", node, "--data-dir", str(cluster.cloud.data_dir), "-o", "json")
    assert outcome.code == 0, outcome.err
    status: dict[str, Any] = json.loads(outcome.out)["status"]
    return status


async def in_sync(cluster: Cluster) -> Body:
    async def check() -> Body | None:
        status = await sync_of(cluster)
        return status if status["state"] == "InSync" and status["digest"]["equal"] else None

    found = await aeventually(check, within_s=30, what="the node is in sync, by its own digest")
    assert found is not None
    return found


async def traced_change(cluster: Cluster, colour: str) -> Body:
    """Wait for the next version in one process, change the object in another, and return what was seen of it."""
    waiting = asyncio.create_task(
        run(
            "cloudcore",
            "trace",
            "cm/settings",
            "--data-dir",
            str(cluster.cloud.data_dir),
            "--wait",
            "30s",
            "-o",
            "json",
        )
    )

    async def armed() -> bool:
        assert not waiting.done(), waiting.result().err
        return any(not trace["status"].get("sample") for trace in await cluster.api.list(OBJECT_TRACES))

    await aeventually(armed, within_s=30, what="the trace is armed")
    await cluster.api.patch("configmaps", "default", "settings", {"data": {"colour": colour}})
    outcome = await waiting
    assert outcome.code == 0, outcome.err
    (version,) = json.loads(outcome.out)
    return dict(version)


def times_of(version: Body) -> list[float]:
    (node,) = version["nodes"]
    return [parse_timestamp(version["committed"]), *(parse_timestamp(node[step]) for step in STEPS)]


async def test_a_change_is_traced_to_the_node_and_back(cluster: Cluster) -> None:
    version = await traced_change(cluster, "green")
    assert times_of(version) == sorted(times_of(version))
    assert version["nodes"][0]["outcome"] == "applied"
    assert version["nodes"][0]["uncertaintySeconds"] < 1.0
    assert all(trace["status"].get("sample") for trace in await cluster.api.list(OBJECT_TRACES)), "one is left armed"


async def test_a_followed_version_reaches_the_collector(cluster: Cluster, spans: Collector) -> None:
    version = await traced_change(cluster, "grey")

    def arrived() -> bool:
        return any(
            each.key == "aiokubeedge.object.version" and each.value.string_value == version["version"]
            for span in spans.spans()
            for each in span.attributes
        )

    await aeventually(arrived, within_s=30, what="its spans have arrived")


async def test_the_last_version_is_shown_as_a_table(cluster: Cluster) -> None:
    await cluster.api.patch("configmaps", "default", "settings", {"data": {"colour": "red"}})
    data_dir = str(cluster.cloud.data_dir)

    async def shown() -> str:
        outcome = await run("cloudcore", "trace", "configmap/settings", "--last", "--data-dir", data_dir)
        return outcome.out if "applied" in outcome.out.rpartition("OUTCOME")[2] else ""

    table = await aeventually(shown, within_s=30, what="a sample is recorded")
    assert "configmaps default/settings" in table
    assert "seen" in table


async def test_a_trace_of_nothing_says_so_and_fails(cluster: Cluster) -> None:
    data_dir = str(cluster.cloud.data_dir)
    for args, code, words in (
        (("cm/nothing", "--last"), 1, "no version of configmaps nothing"),
        (("cm/nothing", "--wait", "1s"), 1, "nobody changed it"),
        (("deployment/web",), 2, "deployments do not travel to nodes"),
        (("web",), 2, "write KIND/NAME"),
        (("cm/web", "--wait", "2h"), 2, "at most 50 minutes"),
    ):
        outcome = await run("cloudcore", "trace", *args, "--data-dir", data_dir)
        assert (outcome.code, words in outcome.err) == (code, True), outcome.err


async def test_kubectl_reads_syncs_and_traces_and_arms_one(cluster: Cluster, tmp_path: Path) -> None:
    kubectl = Kubectl(cluster.cloud.kubeconfig, tmp_path)
    await in_sync(cluster)
    heading, row = (await kubectl.ok("get", "nodesyncs")).splitlines()
    assert heading.split()[:4] == ["NAME", "STATE", "DIGEST", "OBJECTS"]
    assert row.split()[:3] == ["seen", "InSync", "Equal"]
    body = {
        "apiVersion": "edge.aiokubeedge.io/v1alpha1",
        "kind": "ObjectTrace",
        "metadata": {"name": "mine"},
        "spec": {"resource": "configmaps", "namespace": "default", "name": "settings"},
    }
    assert "created" in await kubectl.ok("create", "-f", "-", stdin=json.dumps(body))
    assert "Waiting" in await kubectl.ok("get", "objecttrace", "mine")
    assert "deleted" in await kubectl.ok("delete", "objecttrace", "mine")
    refused = await kubectl.run("create", "-f", "-", stdin=json.dumps(body | {"spec": {"resource": "jobs.batch"}}))
    assert (refused.code, "spec.name" in refused.err) == (1, True), refused.err


async def test_what_a_stopped_node_has_yet_to_get_is_shown_until_it_has_it(cluster: Cluster) -> None:
    edge = cluster.edges["seen"]
    await in_sync(cluster)
    with stopped(edge):
        await cluster.api.patch("configmaps", "default", "settings", {"data": {"colour": "black"}})
        await cluster.api.create("pods", pod("second", "sleep 3600", nodeName=edge.node))
        status = await sync_of(cluster)
        waiting = {row["resource"]: row for row in status["pending"]}
        assert {"configmaps", "pods"} <= waiting.keys()
        assert waiting["configmaps"]["why"] in {"InFlight", "Queued"}
        assert (status["state"], status["digest"]["equal"]) == ("Pending", False)
        table = await run("cloudcore", "sync", "seen", "--data-dir", str(cluster.cloud.data_dir))
        assert "configmaps default/settings" in table.out
        assert "not acknowledged" in table.out
    status = await in_sync(cluster)
    assert status["pendingTotal"] == 0
    assert status["digest"]["edge"] == status["digest"]["cloud"]


async def test_of_a_node_that_is_away_the_cloud_claims_nothing(cluster: Cluster) -> None:
    edge = cluster.edges["seen"]
    await in_sync(cluster)
    await edge.daemon.stop()
    data_dir = str(cluster.cloud.data_dir)

    async def offline() -> Body | None:
        status = await sync_of(cluster)
        return status if status["state"] == "Offline" else None

    status = await aeventually(offline, within_s=30, what="the cloud knows that it left")
    assert status is not None
    assert (status["digest"]["equal"], status["closeCode"]) == (True, 1001)
    await cluster.api.patch("configmaps", "default", "settings", {"data": {"colour": "white"}})
    assert (await sync_of(cluster))["digest"]["equal"] is False
    assert "found out when it resumes" in (await run("cloudcore", "sync", "seen", "--data-dir", data_dir)).out
    await edge.start()
    await in_sync(cluster)


async def test_the_node_itself_says_what_waits_for_the_cloud(cluster: Cluster) -> None:
    edge = cluster.edges["seen"]
    cloud = (await in_sync(cluster))["digest"]["cloud"]
    shown = await asyncio.to_thread(status_of, edge)
    assert shown["live"]["digest"] == cloud
    assert shown["live"]["rttMs"] > 0
    assert shown["live"]["acks"]["lease"]["frames"] >= 1
    table = await run("edgecore", "status", "--data-dir", str(edge.data_dir))
    assert cloud in table.out


async def test_the_fleets_figures_are_metrics(cluster: Cluster) -> None:
    await in_sync(cluster)
    url = f"http://127.0.0.1:{cluster.cloud.ports['metrics_port']}/metrics"

    async def shown() -> str:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        return text if 'aiokubeedge_nodes_by_sync{state="in_sync"} 1.0' in text else ""

    text = await aeventually(shown, within_s=30, what="the node is counted as in sync")
    assert 'aiokubeedge_link_lane_depth{lane="spec"} 0.0' in text
    assert 'aiokubeedge_link_ack_seconds_bucket{lane="spec",le="+Inf"}' in text
    assert 'aiokubeedge_link_bytes_total{direction="sent",kind="configmaps",lane="spec"}' in text


async def test_a_node_that_is_not_there_is_an_error(cluster: Cluster) -> None:
    data_dir = str(cluster.cloud.data_dir)
    outcome = await run("cloudcore", "sync", "nobody", "--data-dir", data_dir)
    assert (outcome.code, '"nobody" not found' in outcome.err) == (1, True), outcome.err
    assert (await run("cloudcore", "sync", "seen", "--data-dir", data_dir, "-o", "xml")).code == 2
    assert (await run("cloudcore", "sync", "--data-dir", data_dir)).code == 2
