"""A cloud beside a cluster needs the rights that ``cloudcore manifests`` names, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from examples.demo.processes import Cloud, Edge
from tests.support.clusters import QUICK, log_lines, pod, run, running_cluster
from tests.support.kubectl import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def with_token(kubeconfig: Path, token: str, to: Path) -> Path:
    """Write a kubeconfig for the same server that has a token instead of a certificate."""
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    to.write_text(yaml.safe_dump(document))
    return to


async def test_a_member_lives_on_the_rights_of_its_account(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, *QUICK) as cluster:
        kubectl = Kubectl(cluster.cloud.kubeconfig, tmp_path / "home")
        kubeconfig = tmp_path / "account.kubeconfig"
        member = Cloud(tmp_path / "member", "--store=kubernetes", f"--kubeconfig={kubeconfig}", *QUICK)
        with_token(cluster.cloud.kubeconfig, "nonsense", kubeconfig)
        refused = await run(
            "cloudcore", "run", f"--data-dir={tmp_path / 'no'}", "--store=kubernetes", f"--kubeconfig={kubeconfig}"
        )
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "cloudcore manifests" in refused.err

        await kubectl.ok("apply", "-f", "-", stdin=(await run("cloudcore", "manifests")).out)
        token = await kubectl.ok("create", "token", "cloudcore", "--namespace=aiokubeedge-system")
        with_token(cluster.cloud.kubeconfig, token.strip(), kubeconfig)
        try:
            await member.start()
            edge = cluster.edges["guest"] = Edge(tmp_path / "guest", "guest")
            await edge.join(member)
            await edge.start()
            await cluster.node_is("guest", "True")
            own = pod("own", "sleep 3600", schedulerName="aiokubeedge-scheduler")
            await cluster.api.create("pods", own)
            assert (await cluster.pod_is("own"))["spec"]["nodeName"] == "guest"
            await kubectl.ok("delete", "pod", "own", "--wait=true")
            member_log = [str(line) for line in log_lines(member.daemon) if line["level"] in {"warning", "error"}]
            assert not [line for line in member_log if "forbidden" in line.lower()]
        finally:
            print(member.daemon.tail())  # noqa: T201 - pytest shows it
            await member.daemon.stop()
