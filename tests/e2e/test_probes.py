"""Probes, hooks and last words, from a manifest to what kubectl shows, with real processes and real servers."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.clusters import QUICK, Cluster, container_status, pod, pod_processes, running_cluster
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"
QUICKLY = {"periodSeconds": 1, "failureThreshold": 1}
SERVER = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[2] + "/requests", "a") as file:
            file.write(self.path + " " + self.headers["X-Probe"] + chr(10))
        self.send_response(200 if os.path.exists(sys.argv[2] + "/healthy") else 503)
        self.end_headers()

http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("probes"), *QUICK) as running:
        await running.add_edge("edge-a")
        yield running


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster.cloud.kubeconfig, cluster.folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


async def create(cluster: Cluster, name: str, script: str, *, grace_s: int = 30, **container: Any) -> None:
    body = pod(name, script, terminationGracePeriodSeconds=grace_s, container=container)
    await cluster.api.create("pods", body)


async def shows(kubectl: Kubectl, name: str, ready: str) -> None:
    """Wait until kubectl's READY column says so."""

    async def check() -> bool:
        return (await kubectl.ok("get", "pod", name, "--no-headers")).split()[1] == ready

    await aeventually(check, within_s=40, what=f"{name} is {ready}")


async def said(kubectl: Kubectl, name: str, reason: str) -> list[str]:
    """Wait for Events of that reason about the pod, and return their messages."""

    async def check() -> list[str]:
        selector = f"--field-selector=reason={reason},involvedObject.name={name}"
        return [event["message"] for event in (await kubectl.json("get", "events", selector))["items"]]

    return await aeventually(check, within_s=40, what=f"an Event {reason} about {name}")


async def restarted(cluster: Cluster, name: str) -> Body:
    """Wait until the container runs for the second time, and return its status."""

    async def check() -> Body:
        status = container_status(await cluster.api.get("pods", "default", name))
        return status if status.get("restartCount") == 1 and "running" in status["state"] else {}

    return await aeventually(check, within_s=40, what=f"{name} is restarted")


async def test_ready_follows_what_the_server_answers(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    port = free_port()
    action = {"path": "/ready", "port": "web", "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}
    await create(
        cluster,
        "web",
        f'exec "{sys.executable}" -c "$SERVER" {port} {tmp_path}',
        env=[{"name": "SERVER", "value": SERVER.replace("$", "$$")}],
        ports=[{"name": "web", "containerPort": port}],
        readinessProbe={**QUICKLY, "httpGet": action},
        livenessProbe={**QUICKLY, "failureThreshold": 1000, "tcpSocket": {"port": "web"}},
    )
    await aeventually((tmp_path / "requests").exists, within_s=40)
    await shows(kubectl, "web", "0/1")
    assert "HTTP probe failed with statuscode: 503" in " ".join(await said(kubectl, "web", "Unhealthy"))
    (tmp_path / "healthy").touch()
    await shows(kubectl, "web", "1/1")
    await kubectl.ok("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")
    (tmp_path / "healthy").unlink()
    await shows(kubectl, "web", "0/1")
    assert set((tmp_path / "requests").read_text().splitlines()) == {"/ready yes"}
    assert container_status(await cluster.api.get("pods", "default", "web"))["restartCount"] == 0


async def test_a_container_that_fails_its_liveness_probe_is_restarted(
    cluster: Cluster, kubectl: Kubectl, tmp_path: Path
) -> None:
    alive, stopping = tmp_path / "alive", tmp_path / "stopping"
    await create(
        cluster,
        "flaky",
        f"touch {alive}; trap 'echo deadlocked > dev/termination-log; exit 9' TERM; sleep 3600 & wait",
        livenessProbe={**QUICKLY, "exec": {"command": ["ls", str(alive)]}},
        lifecycle={"preStop": {"exec": {"command": ["touch", str(stopping)]}}},
    )
    await cluster.pod_is("flaky")
    alive.unlink()
    status = await restarted(cluster, "flaky")
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["message"]) == (9, "deadlocked\n")
    assert stopping.exists()
    (message,) = await said(kubectl, "flaky", "Killing")
    assert message == "Container main failed liveness probe, will be restarted"
    (unhealthy,) = await said(kubectl, "flaky", "Unhealthy")
    assert unhealthy.startswith("Liveness probe failed: ls: cannot access")


async def test_a_probe_that_hangs_is_killed_with_all_it_started(cluster: Cluster, kubectl: Kubectl) -> None:
    hung = {"command": ["sh", "-c", "trap '' TERM; sleep 987654 & sleep 987654"]}
    await create(
        cluster,
        "stuck",
        FOREVER,
        readinessProbe={**QUICKLY, "timeoutSeconds": 1, "exec": hung},
        livenessProbe={**QUICKLY, "exec": {"command": ["true"]}},
    )
    messages = await said(kubectl, "stuck", "Unhealthy")
    assert "timed out after 1s" in messages[0]
    await shows(kubectl, "stuck", "0/1")
    body = await cluster.api.get("pods", "default", "stuck")
    assert container_status(body)["restartCount"] == 0
    await kubectl.ok("delete", "pod", "stuck")
    await cluster.ended(cluster.edges["edge-a"], body["metadata"]["uid"])
    assert [one.pid for one in psutil.process_iter(["cmdline"]) if "987654" in (one.info["cmdline"] or ())] == []


async def test_hooks_run_at_the_start_and_before_the_end(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    story = tmp_path / "story"
    await create(
        cluster,
        "polite",
        f"trap 'echo term >> {story}; exit 0' TERM; sleep 3600 & wait",
        lifecycle={
            "postStart": {"exec": {"command": ["sh", "-c", f"echo begun >> {story}"]}},
            "preStop": {"exec": {"command": ["sh", "-c", f"sleep 0.2; echo ending >> {story}"]}},
        },
    )
    await cluster.pod_is("polite")
    assert story.read_text() == "begun\n"
    await kubectl.ok("delete", "pod", "polite", "--timeout=30s")
    assert story.read_text() == "begun\nending\nterm\n"


async def test_a_post_start_hook_that_fails_is_told(cluster: Cluster, kubectl: Kubectl) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no coffee; exit 4"]}}}
    await create(cluster, "fails", FOREVER, lifecycle=hook)
    (message, *_) = await said(kubectl, "fails", "FailedPostStartHook")
    assert message.endswith("exited with 4: no coffee")
    await shows(kubectl, "fails", "0/1")
    await kubectl.ok("delete", "pod", "fails", "--wait=false")


async def test_readiness_is_kept_over_a_restart_of_the_agent(
    cluster: Cluster, kubectl: Kubectl, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    probe = {**QUICKLY, "exec": {"command": ["sh", "-c", f"echo again >> {asked}"]}}
    await create(cluster, "kept", FOREVER, readinessProbe=probe)
    await shows(kubectl, "kept", "1/1")
    body = await cluster.api.get("pods", "default", "kept")
    edge, uid = cluster.edges["edge-a"], body["metadata"]["uid"]
    processes = pod_processes(edge)[uid]
    await edge.daemon.kill()
    asked.unlink()
    await edge.daemon.start()
    await aeventually(asked.exists, within_s=40, what="the new agent probes")
    now = await cluster.api.get("pods", "default", "kept")
    assert find_condition(now["status"]["conditions"], "Ready") == find_condition(body["status"]["conditions"], "Ready")
    assert container_status(now)["ready"] is True
    assert pod_processes(edge)[uid] == processes
