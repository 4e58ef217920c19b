"""``docker compose up``: the images, the topology and its demo, on a Docker Engine of the tests' own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockers import DockerEngine
from tests.support.kubectl import find_kubectl
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
BASE_VARIABLE = "AIOKUBEEDGE_BASE_IMAGE"
"""Names a root file system that stands in for the images from registries; `make compose-test` sets it."""
BASES = ("python:3.11-slim", "eclipse-mosquitto:2", "redis:7-alpine")
WEB = "io.kubernetes.container.name=web"


@dataclass
class Topology:
    """The project's compose file, on one engine."""

    compose: list[str]
    environment: dict[str, str]
    kubeconfig: Path

    def run(self, *argv: str, within_s: float = 60.0) -> str:
        done = subprocess.run(
            argv, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=within_s, check=False
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def __call__(self, *args: str, within_s: float = 60.0) -> str:
        return self.run(*self.compose, *args, within_s=within_s)

    def listed(self, *args: str) -> list[dict[str, Any]]:
        """Return what kubectl lists."""
        port = self.environment["AIOKUBEEDGE_API_PORT"]
        argv = (find_kubectl(), f"--kubeconfig={self.kubeconfig}", f"--server=https://localhost:{port}")
        items: list[dict[str, Any]] = json.loads(self.run(*argv, "get", *args, "--output=json"))["items"]
        return items

    def containers(self, label: str) -> list[str]:
        """Return the ids of the running containers with a label."""
        return self.run("docker", "ps", "--no-trunc", "--quiet", f"--filter=label={label}").split()

    def health(self, service: str) -> str:
        """Return the health of a service's container, as the engine judges it."""
        (container,) = self.containers(f"com.docker.compose.service={service}")
        return self.run("docker", "inspect", "--format={{.State.Health.Status}}", container).strip()

    def running_in(self) -> set[str]:
        """Return the nodes on which the demo is ready."""
        found = set()
        for pod in self.listed("pods", "--selector=app=compose-demo"):
            conditions = (pod.get("status") or {}).get("conditions") or ()
            if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
                found.add(pod["spec"]["nodeName"])
        return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _compose() -> list[str]:
    """Return the command of whichever generation is installed: v2, else v1."""
    with contextlib.suppress(OSError):
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


@pytest.fixture
def topology(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Topology]:
    base, compose = os.environ.get(BASE_VARIABLE, ""), _compose()
    if not base or not Path(base).exists():
        pytest.skip(f"{BASE_VARIABLE} names no base image: run `make compose-test`")
    assert compose, "neither `docker compose` nor docker-compose is installed"
    docker: DockerEngine = request.getfixturevalue("docker")
    environment = {
        **os.environ,
        "DOCKER_HOST": docker.host,
        "DOCKER_SOCKET": docker.host.removeprefix("unix://"),
        "DOCKER_ROOT": str(docker.folder / "data"),
        "DOCKER_BUILDKIT": "0",
        "COMPOSE_PROJECT_NAME": "topology",
        "AIOKUBEEDGE_API_PORT": str(_free_port()),
        "PIP_NO_INDEX": "1",
    }
    topology = Topology(compose, environment, tmp_path / "kubeconfig")
    topology.run("docker", "import", base, BASES[0])
    for name in BASES[1:]:
        topology.run("docker", "tag", BASES[0], name)
    try:
        yield topology
    finally:
        topology("down", "--volumes", "--timeout=5")


def test_the_topology_comes_up_runs_the_demo_and_goes_without_a_trace(topology: Topology) -> None:
    topology("build", "--quiet", within_s=400.0)
    topology("up", "--detach", "--no-build", within_s=120.0)
    topology.kubeconfig.write_text(
        topology("exec", "-T", "cloudcore", "cat", "/var/lib/aiokubeedge/cloud/admin.kubeconfig")
    )
    eventually(lambda: topology.running_in() == {"edge-north", "edge-south"}, within_s=90, what="the demo is not ready")

    regions = {
        node["metadata"]["name"]: node["metadata"]["labels"]["topology.kubernetes.io/region"]
        for node in topology.listed("nodes")
    }
    assert regions == {"edge-north": "north", "edge-south": "south"}
    services = ("cloudcore", "edge-north", "edge-south", "mosquitto", "redis")
    eventually(
        lambda: {topology.health(service) for service in services} == {"healthy"},
        within_s=30,
        what="not all are healthy",
    )
    assert (
        topology.run("docker", "inspect", "--format={{.Config.User}}", "aiokubeedge/cloudcore").strip() == "10001:10001"
    )

    # Containers of pods outlive their agent: the next one, which joins nothing anew, adopts them.
    adopted = topology.containers(WEB)
    assert len(adopted) == 1
    topology("restart", "edge-north")
    eventually(lambda: topology.health("edge-north") == "healthy", within_s=30, what="edge-north does not come back")
    assert topology.containers(WEB) == adopted
    # A second `up` changes nothing, and makes no token for those who are known.
    topology("up", "--detach", "--no-build", within_s=120.0)
    assert "edge-north is known" in topology("logs", "enrol")
    eventually(lambda: topology.running_in() == {"edge-north", "edge-south"}, within_s=60, what="the demo is gone")
    assert topology.containers(WEB) == adopted

    topology("down", "--volumes", "--timeout=10", within_s=90.0)
    assert topology.run("docker", "ps", "--all", "--quiet") == ""
    assert topology.run("docker", "volume", "ls", "--quiet") == ""
    assert "aiokubeedge" not in topology.run("docker", "network", "ls", "--format={{.Name}}")


def test_the_file_is_valid(topology: Topology) -> None:
    shown = topology("config")
    for service in ("cloudcore", "enrol", "demo", "edge-north", "edge-south", "sweep", "mosquitto", "redis"):
        assert f"  {service}:" in shown
