"""The asynchronous Python client, typed and dynamic, against a real cloudcore."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.dynamic import DynamicClient
from kubernetes_asyncio.leaderelection.electionconfig import Config
from kubernetes_asyncio.leaderelection.leaderelection import LeaderElection
from kubernetes_asyncio.leaderelection.resourcelock.leaselock import LeaseLock

from examples.demo.processes import Cloud

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NAMESPACE = "default"
WITHIN_S = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    await cloud.start()
    async with await config.new_client_from_config(str(cloud.kubeconfig)) as api:
        yield api
    await cloud.daemon.stop()


def secret(name: str, **text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"of": "test"}},
        "stringData": text,
    }


async def test_many_writers_at_once_lose_nothing(api: Any) -> None:
    """Each adds its own key under optimistic concurrency and repeats what conflicted."""
    core = client.CoreV1Api(api)
    await core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "shared"}, "data": {}})
    conflicts = 0

    async def add(number: int) -> None:
        nonlocal conflicts
        while True:
            body = await core.read_namespaced_config_map("shared", NAMESPACE)
            body.data = {**(body.data or {}), f"writer-{number}": "was here"}
            try:
                await core.replace_namespaced_config_map("shared", NAMESPACE, body)
            except ApiException as error:
                if error.status != 409:
                    raise
                conflicts += 1
            else:
                return

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as writers:
        for number in range(12):
            writers.create_task(add(number))
    body = await core.read_namespaced_config_map("shared", NAMESPACE)
    assert sorted(body.data) == sorted(f"writer-{number}" for number in range(12))
    assert conflicts > 0


async def test_a_watch_follows_what_a_list_began(api: Any) -> None:
    core = client.CoreV1Api(api)
    await core.create_namespaced_secret(NAMESPACE, secret("before", key="1"))
    listed = await core.list_namespaced_secret(NAMESPACE, label_selector="of=test")
    assert [item.metadata.name for item in listed.items] == ["before"]
    seen: list[tuple[str, str]] = []

    async def follow() -> None:
        async with watch.Watch() as watching:
            stream = watching.stream(
                core.list_namespaced_secret,
                NAMESPACE,
                label_selector="of=test",
                resource_version=listed.metadata.resource_version,
            )
            async for event in stream:
                seen.append((event["type"], event["object"].metadata.name))
                if event["type"] == "DELETED":
                    return

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(follow())
        await core.create_namespaced_secret(NAMESPACE, secret("after", key="2"))
        await core.patch_namespaced_secret("before", NAMESPACE, {"metadata": {"labels": {"of": "nobody"}}})
    # An object that leaves the selection looks deleted to whoever watches the selection.
    assert seen == [("ADDED", "after"), ("DELETED", "before")]


async def test_a_watch_period_ends_and_the_next_goes_on(api: Any) -> None:
    core = client.CoreV1Api(api)
    start = (await core.list_namespaced_service_account(NAMESPACE)).metadata.resource_version
    async with asyncio.timeout(WITHIN_S), watch.Watch() as watching:
        async for _ in watching.stream(
            core.list_namespaced_service_account, NAMESPACE, resource_version=start, timeout_seconds=1
        ):
            pass
        await core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "in-between"}})
        revision = watching.resource_version or start
        async for event in watch.Watch().stream(
            core.list_namespaced_service_account, NAMESPACE, resource_version=revision
        ):
            assert event["object"].metadata.name == "in-between"
            break


async def test_the_dynamic_client_applies_to_any_kind(api: Any) -> None:
    async with DynamicClient(api) as found:
        jobs = await found.resources.get(api_version="batch/v1", kind="Job")
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "job:1"}]}}
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "once", "namespace": NAMESPACE},
            "spec": {"template": template, "suspend": True},
        }
        applied = await jobs.server_side_apply(body=body, field_manager="tests")
        assert applied.spec.backoffLimit == 6  # Kubernetes' default
        patched = await jobs.patch(
            body={"metadata": {"labels": {"a": "b"}}},
            name="once",
            namespace=NAMESPACE,
            content_type="application/merge-patch+json",
        )
        assert patched.metadata.labels.a == "b"
        listed = await jobs.get(namespace=NAMESPACE, label_selector="a=b")
        assert [item.metadata.name for item in listed.items] == ["once"]
        await jobs.delete(name="once", namespace=NAMESPACE, body={"propagationPolicy": "Background"})
        assert (await jobs.get(namespace=NAMESPACE)).items == []


async def test_one_of_two_candidates_leads_and_the_other_takes_over(tmp_path: Any, api: Any) -> None:
    """The client's own election on a Lease: what controllers with several replicas stand on."""
    terms: asyncio.Queue[str] = asyncio.Queue()

    async def candidate(name: str) -> None:
        async def lead() -> None:
            terms.put_nowait(name)

        async def stop() -> None:
            return

        lock = LeaseLock("election", NAMESPACE, name, api)
        await LeaderElection(
            Config(
                lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=stop
            )
        ).run()

    async with asyncio.timeout(WITHIN_S):
        candidates = {name: asyncio.create_task(candidate(name)) for name in ("one", "two")}
        first = await terms.get()
        candidates[first].cancel()
        second = await terms.get()
    assert {first, second} == {"one", "two"}
    for task in candidates.values():
        task.cancel()
    await asyncio.gather(*candidates.values(), return_exceptions=True)
    lease = await client.CoordinationV1Api(api).read_namespaced_lease("election", NAMESPACE)
    assert lease.spec.holder_identity == second
