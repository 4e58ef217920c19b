from __future__ import annotations

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.create import create
from cloudcore.apiserver.custom.definitions import CLEANUP
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import update
from cloudcore.errors import BadRequest, Invalid, NotFound
from protocol.objects.resources import DEFINITIONS
from tests.support.definitions import CRONTABS, a_crontab, a_definition, a_version
from tests.support.registries import a_context, target

SPEC = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}
STATUS = {
    "type": "object",
    "properties": {"spec": SPEC, "status": {"type": "object", "properties": {"b": {"type": "integer"}}}},
}


async def test_a_definition_is_established_and_served_when_its_author_is_answered(
    registry: Registry, client: LocalClient
) -> None:
    made = await client.create(DEFINITIONS, a_definition())
    assert made["metadata"]["finalizers"] == [CLEANUP]
    assert CRONTABS in registry.kinds
    assert (await client.create(CRONTABS, a_crontab()))["kind"] == "CronTab"


async def test_nothing_is_served_of_a_dry_run(registry: Registry) -> None:
    await create(registry, target(registry, DEFINITIONS), a_definition(), a_context(dry_run=True))
    assert CRONTABS not in registry.kinds


async def test_a_changed_schema_is_in_force_at_once(client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition())
    changed = a_definition(a_version(spec=SPEC))
    await client.patch(DEFINITIONS, "", CRONTABS, {"spec": changed["spec"]})
    assert (await client.create(CRONTABS, a_crontab(spec={"other": 1})))["spec"] == {"a": 1}


async def test_a_status_report_does_not_build_the_rows_anew(registry: Registry, client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition())
    row = registry.kinds.of(CRONTABS)
    await client.patch(DEFINITIONS, "", CRONTABS, {"status": {"storedVersions": ["v1"]}}, subresource="status")
    await client.patch(DEFINITIONS, "", CRONTABS, {"metadata": {"labels": {"a": "b"}}})
    assert registry.kinds.of(CRONTABS) is row


async def test_a_definition_without_its_finalizer_goes_at_once(registry: Registry, client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition())
    await client.delete(DEFINITIONS, "", CRONTABS)
    assert CRONTABS in registry.kinds
    await client.patch(DEFINITIONS, "", CRONTABS, {"metadata": {"finalizers": None}})
    assert CRONTABS not in registry.kinds
    with pytest.raises(NotFound):
        await client.list(CRONTABS)


async def test_a_refused_definition_that_goes_leaves_the_kind_of_another_alone(
    registry: Registry, client: LocalClient
) -> None:
    await client.create(DEFINITIONS, a_definition())
    await client.create(DEFINITIONS, a_definition(names={"plural": "others", "kind": "CronTab", "shortNames": []}))
    await client.patch(DEFINITIONS, "", "others.stable.example.com", {"metadata": {"finalizers": None}})
    await client.delete(DEFINITIONS, "", "others.stable.example.com")
    assert CRONTABS in registry.kinds


async def test_stored_definitions_are_served_after_a_restart(registry: Registry, client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition())
    await client.create(CRONTABS, a_crontab())
    again = Registry(registry.store)
    assert CRONTABS not in again.kinds
    await bootstrap(again)
    assert [body["metadata"]["name"] for body in await LocalClient(again).list(CRONTABS)] == ["mine"]


async def test_the_status_is_validated_and_written_apart(client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition(a_version(schema=STATUS, subresources={"status": {}})))
    made = await client.create(CRONTABS, {**a_crontab(), "status": {"b": 1}})
    assert "status" not in made
    changed = await client.patch(
        CRONTABS, "default", "mine", {"status": {"b": 2, "c": 3}, "spec": {"a": 9}}, subresource="status"
    )
    assert (changed["status"], changed["spec"], changed["metadata"]["generation"]) == ({"b": 2}, {"a": 1}, 1)
    with pytest.raises(Invalid, match=r"status\.b in body must be of type integer"):
        await client.patch(CRONTABS, "default", "mine", {"status": {"b": "x"}}, subresource="status")


async def test_a_status_has_defaults_too(client: LocalClient) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "default": {"late": True}, "x-kubernetes-preserve-unknown-fields": True},
            "status": {"type": "object", "properties": {"b": {"type": "integer", "default": 7}}},
        },
    }
    await client.create(DEFINITIONS, a_definition(a_version(schema=schema, subresources={"status": {}})))
    await client.create(CRONTABS, a_crontab(spec={"a": 1}))
    changed = await client.patch(CRONTABS, "default", "mine", {"status": {}}, subresource="status")
    assert (changed["status"], changed["spec"]) == ({"b": 7}, {"a": 1})


async def test_without_the_subresource_a_status_is_a_field_like_others(client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition(a_version(schema=STATUS)))
    await client.create(CRONTABS, {**a_crontab(), "status": {"b": 1}})
    changed = await client.patch(CRONTABS, "default", "mine", {"status": {"b": 2}})
    assert (changed["status"], changed["metadata"]["generation"]) == ({"b": 2}, 2)
    with pytest.raises(NotFound):
        await client.patch(CRONTABS, "default", "mine", {"status": {"b": 3}}, subresource="status")


async def test_unknown_fields_are_told_as_asked(registry: Registry, client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition(a_version(spec=SPEC)))
    wrong = a_crontab(spec={"x": 1}, colour="red")
    with pytest.raises(BadRequest, match=r'unknown field "metadata\.colour", unknown field "spec\.x"'):
        await create(registry, target(registry, CRONTABS, "default"), wrong, a_context(field_validation="Strict"))
    context = a_context()
    record = await create(
        registry, target(registry, CRONTABS, "default"), a_crontab(spec={"x": 1}, colour="red"), context
    )
    assert context.warnings == ['unknown field "metadata.colour"', 'unknown field "spec.x"']
    assert record.decode()["spec"] == {"a": 1}


async def test_metadata_has_its_own_schema(client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition())
    with pytest.raises(BadRequest, match=r"cannot unmarshal number into Go struct field ObjectMeta\.metadata\.labels"):
        await client.create(CRONTABS, a_crontab(labels={"a": 1}))


async def test_another_served_version_reads_and_writes_the_same_object(registry: Registry, client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition(a_version("v1"), a_version("v1beta1", storage=False)))
    await client.create(CRONTABS, a_crontab(spec={"a": 1}))
    served = registry.kinds.at("stable.example.com", "v1beta1", "crontabs")
    spoken = target(registry, CRONTABS, "default", "mine")
    spoken = type(spoken)(spoken.kind, "default", "mine", version=served)
    body = {**a_crontab(spec={"a": 2}), "apiVersion": "stable.example.com/v1beta1", "kind": "CronTab"}
    record = await update(registry, spoken, body, a_context())
    assert (record.decode()["apiVersion"], record.decode()["spec"]) == ("stable.example.com/v1", {"a": 2})
