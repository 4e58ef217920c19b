"""Every operation of the served OpenAPI documents, with made-up requests: the right 4xx, never a 5xx, a quiet log.

``AIOKUBEEDGE_FUZZ_EXAMPLES`` (cases drawn for each operation) and ``AIOKUBEEDGE_FUZZ_SEED`` make it a longer hunt:
``make fuzz-api``.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
import yaml

from cloudcore.apiserver.kinds import builtin_kinds
from protocol.objects.keys import Body
from tests.support.apifuzz import Credentials, create, drive
from tests.support.clusters import QUICK, Cluster, log_lines, running_cluster
from tests.support.kindsamples import resource_of, samples
from tests.support.registries import a_configmap, a_deployment, a_namespace, a_pod, a_service

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

EXAMPLES = int(os.environ.get("AIOKUBEEDGE_FUZZ_EXAMPLES", "1"))
SEED = int(os.environ.get("AIOKUBEEDGE_FUZZ_SEED", "1"))

LOCATIONS = sorted({f"apis/{kind.group}/{kind.version}" if kind.group else "api/v1" for kind in builtin_kinds()})


def _more() -> dict[str, Body]:
    bodies = {
        "configmaps": a_configmap(),
        "pods": a_pod(),
        "deployments.apps": {"apiVersion": "apps/v1", "kind": "Deployment", **a_deployment()},
        "services": a_service(),
        "namespaces": a_namespace(),
        "secrets": {"metadata": {"name": "secret", "namespace": "default"}, "data": {"a": "YQ=="}},
        "serviceaccounts": {"metadata": {"name": "builder", "namespace": "default"}},
        # Wide enough to keep none of the others out.
        "resourcequotas": {"metadata": {"name": "share"}, "spec": {"hard": {"pods": "1000", "count/secrets": "1000"}}},
        "nodes": {"metadata": {"name": "edge-1"}, "spec": {}},
    }
    return bodies


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("fuzz"), *QUICK) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def known(credentials: Credentials) -> Mapping[str, Body]:
    """Return an object of each kind that exists, by its plural."""
    bodies = {resource_of(body): body for body in samples()} | _more()
    return {
        resource.partition(".")[0]: await asyncio.to_thread(create, credentials, resource, body)
        for resource, body in bodies.items()
    }


@pytest.fixture(scope="module")
def credentials(cluster: Cluster) -> Credentials:
    config = yaml.safe_load(cluster.cloud.kubeconfig.read_text())
    place, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    contents = {
        "ca.crt": place["certificate-authority-data"],
        "client.crt": user["client-certificate-data"],
        "client.key": user["client-key-data"],
    }
    for name, text in contents.items():
        (cluster.folder / name).write_bytes(base64.b64decode(text))
    return Credentials(place["server"], *(cluster.folder / name for name in contents))


@pytest.mark.parametrize("location", LOCATIONS)
async def test_made_up_requests_are_answered_and_logged_as_they_should(
    cluster: Cluster, credentials: Credentials, known: Mapping[str, Body], location: str
) -> None:
    before = len(log_lines(cluster.cloud.daemon))
    document = f"/openapi/v3/{location}"
    report = await asyncio.to_thread(drive, credentials, document, known, examples=EXAMPLES, start=SEED)
    print(location, report.operations, report.sent, dict(sorted(report.by_code.items())))  # noqa: T201 - pytest keeps it
    assert report.sent >= report.operations > 0
    assert not report.wrong, "\n".join(report.wrong[:10])
    failed = [line for line in log_lines(cluster.cloud.daemon)[before:] if line.get("exception")]
    assert not failed, failed[:3]
