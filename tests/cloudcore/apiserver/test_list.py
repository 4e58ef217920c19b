from __future__ import annotations

import pytest

from cloudcore.apiserver.http.status import failure
from cloudcore.apiserver.list import ListOptions, Page, list_objects
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import BadRequest, GatewayTimeout, Gone
from cloudcore.store.base import Listing
from protocol.objects.keys import Revision
from tests.support.registries import a_configmap, a_pod, target


def names(page: Page) -> list[str]:
    return [record.key.name for record in page.records]


async def fill(client: LocalClient, count: int = 5) -> None:
    for index in range(count):
        body = a_configmap(f"c{index}")
        body["metadata"]["labels"] = {"parity": "even" if index % 2 == 0 else "odd"}
        await client.create("configmaps", body)


async def ask(registry: Registry, **options: object) -> Page:
    return await list_objects(registry, target(registry, "configmaps", "default"), ListOptions(**options))  # type: ignore[arg-type]


async def test_all_objects_of_a_namespace_are_listed_in_order(registry: Registry, client: LocalClient) -> None:
    await fill(client, 3)
    other = a_configmap("a")
    other["metadata"]["namespace"] = "other"
    await client.create("configmaps", other)
    page = await ask(registry)
    assert names(page) == ["c0", "c1", "c2"]
    assert page.revision == registry.store.revision
    everywhere = await list_objects(registry, target(registry, "configmaps"))
    assert len(everywhere.records) == 4


async def test_pages_are_of_one_revision(registry: Registry, client: LocalClient) -> None:
    await fill(client)
    first = await ask(registry, limit=2)
    assert (names(first), first.remaining) == (["c0", "c1"], 3)
    await client.delete("configmaps", "default", "c2")
    await client.create("configmaps", a_configmap("c1b"))
    second = await ask(registry, limit=2, continue_token=first.continue_token)
    assert (names(second), second.remaining, second.revision) == (["c2", "c3"], 1, first.revision)
    third = await ask(registry, limit=2, continue_token=second.continue_token)
    assert (names(third), third.continue_token, third.remaining) == (["c4"], "", None)


async def test_pages_of_a_selection_end_without_an_empty_page(registry: Registry, client: LocalClient) -> None:
    await fill(client)
    first = await ask(registry, limit=2, label_selector="parity=even")
    assert (names(first), first.remaining) == (["c0", "c2"], None)
    second = await ask(registry, limit=2, label_selector="parity=even", continue_token=first.continue_token)
    assert (names(second), second.continue_token) == (["c4"], "")


@pytest.mark.parametrize("token", ["!", "bm9uc2Vuc2U", "WzFd", "e30"])
async def test_a_malformed_token_is_refused(registry: Registry, token: str) -> None:
    with pytest.raises(BadRequest, match="continue key is not valid"):
        await ask(registry, continue_token=token)


async def test_an_exact_revision_shows_the_past(registry: Registry, client: LocalClient) -> None:
    await fill(client, 2)
    past = str(registry.store.revision)
    await client.delete("configmaps", "default", "c0")
    exact = await ask(registry, resource_version=past, resource_version_match="Exact")
    assert names(exact) == ["c0", "c1"]
    newer = await ask(registry, resource_version=past, resource_version_match="NotOlderThan")
    assert names(newer) == ["c1"]


async def test_a_revision_of_the_future_asks_to_retry(registry: Registry) -> None:
    with pytest.raises(GatewayTimeout) as caught:
        await ask(registry, resource_version=str(registry.store.revision + 100))
    assert caught.value.retry_after_s == 1
    assert caught.value.causes[0].reason == "ResourceVersionTooLarge"


@pytest.mark.parametrize(
    "options",
    [
        {"resource_version": "x"},
        {"resource_version": "-1"},
        {"resource_version": "9" * 5000},
        {"resource_version_match": "Exact"},
        {"resource_version": "1", "resource_version_match": "Nearly"},
        {"label_selector": "a in"},
        {"field_selector": "spec.colour=blue"},
        {"continue_token": "WzEsImEiLCJiIl0", "resource_version": "5"},
    ],
)
async def test_what_cannot_be_read_is_refused(registry: Registry, options: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        await ask(registry, **options)


async def test_a_named_target_lists_that_object(registry: Registry, client: LocalClient) -> None:
    await fill(client, 2)
    page = await list_objects(registry, target(registry, "configmaps", "default", "c1"))
    assert names(page) == ["c1"]


async def test_pods_are_selected_by_their_fields(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod("a", nodeName="edge-1"))
    await client.create("pods", a_pod("b", nodeName="edge-10"))
    await client.create("pods", a_pod("c"))

    async def selected(text: str) -> list[str]:
        return [body["metadata"]["name"] for body in await client.list("pods", field_selector=text)]

    assert await selected("spec.nodeName=edge-1") == ["a"]
    assert await selected("spec.nodeName=") == ["c"]
    assert await selected("spec.nodeName!=edge-1") == ["b", "c"]
    assert await selected("status.phase=Pending,metadata.name=b") == ["b"]
    assert await selected("metadata.name!=b,metadata.namespace=default") == ["a", "c"]
    assert await selected("spec.hostNetwork=false,spec.restartPolicy=Always") == ["a", "b", "c"]


async def test_a_virtual_kind_is_listed_from_its_provider(registry: Registry) -> None:
    links = "nodelinks.edge.aiokubeedge.io"
    assert names(await list_objects(registry, target(registry, links))) == []
    registry.provide(links, lambda: [{"metadata": {"name": "b"}}, {"metadata": {"name": "a"}}])
    assert names(await list_objects(registry, target(registry, links))) == ["a", "b"]
    one = await list_objects(registry, target(registry, links), ListOptions(field_selector="metadata.name=b"))
    assert names(one) == ["b"]


async def test_a_page_whose_revision_is_gone_tells_how_to_go_on(
    registry: Registry, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(client, 3)
    first = await ask(registry, limit=1)
    listed = registry.store.list

    async def forgetful(resource: str, *, namespace: str | None = None, at: Revision | None = None) -> Listing:
        if at is not None:
            raise Gone("too old resource version")
        return await listed(resource, namespace=namespace)

    monkeypatch.setattr(registry.store, "list", forgetful)
    with pytest.raises(Gone, match="The provided continue parameter is too old") as gone:
        await ask(registry, limit=1, continue_token=first.continue_token)
    rest = await ask(registry, continue_token=gone.value.continue_token)
    assert names(rest) == ["c1", "c2"]
    status = failure(gone.value)
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["metadata"] == {"continue": gone.value.continue_token}
