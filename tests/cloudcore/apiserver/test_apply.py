"""Server-side apply, and who is noted for what."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.apply import apply
from cloudcore.apiserver.create import create
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.patch import patch
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import update
from cloudcore.errors import BadRequest, Conflict, Invalid, NotFound
from protocol.objects.resources import DEFINITIONS
from tests.support.definitions import CRONTABS, a_crontab, a_definition, a_version
from tests.support.kindsamples import sample
from tests.support.registries import ManualClock, a_context, a_deployment, a_pod, target

Body = dict[str, Any]
DEPLOYMENTS = "deployments.apps"


class World:
    """Several managers at work on one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def apply(
        self,
        manager: str,
        config: Body,
        resource: str = "configmaps",
        *,
        force: bool = False,
        subresource: str = "",
        **context: Any,
    ) -> Body:
        name = config["metadata"]["name"]
        where = target(self.registry, resource, "default", name, subresource)
        record, _ = await apply(self.registry, where, config, a_context(field_manager=manager, **context), force=force)
        return record.decode()

    async def create(self, manager: str, body: Body, resource: str = "configmaps") -> Body:
        where = target(self.registry, resource, "default")
        return (await create(self.registry, where, body, a_context(field_manager=manager))).decode()

    async def patch(
        self, manager: str, change: Any, resource: str = "configmaps", name: str = "x", **options: Any
    ) -> Body:
        where = target(self.registry, resource, "default", name, options.pop("subresource", ""))
        return (await patch(self.registry, where, change, a_context(field_manager=manager), **options)).decode()

    async def update(self, manager: str, body: Body, resource: str = "configmaps") -> Body:
        where = target(self.registry, resource, "default", body["metadata"]["name"])
        return (await update(self.registry, where, body, a_context(field_manager=manager))).decode()


@pytest.fixture
def world(registry: Registry) -> World:
    return World(registry)


def config(**data: Any) -> Body:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}


def shares(body: Body) -> dict[str, Any]:
    return {
        f"{entry['manager']}/{entry['operation']}": entry["fieldsV1"].get("f:data")
        for entry in body["metadata"].get("managedFields") or ()
    }


async def test_applying_to_nothing_creates(world: World) -> None:
    made = await world.apply("ann", config(a="1"))
    assert made["metadata"]["uid"]
    (entry,) = made["metadata"]["managedFields"]
    assert entry == {
        "manager": "ann", "operation": "Apply", "apiVersion": "v1", "time": made["metadata"]["creationTimestamp"],
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}},
    }  # fmt: skip


async def test_applying_the_same_again_writes_nothing(world: World, clock: ManualClock) -> None:
    made = await world.apply("ann", config(a="1"))
    clock.now_s += 60
    assert await world.apply("ann", config(a="1")) == made


async def test_what_is_no_longer_stated_is_removed(world: World) -> None:
    await world.apply("ann", config(a="1", b="2"))
    assert (await world.apply("ann", config(a="1")))["data"] == {"a": "1"}


async def test_what_others_state_too_stays(world: World) -> None:
    await world.apply("ann", config(a="1", b="2"))
    shared = await world.apply("bob", config(b="2"))
    assert shares(shared) == {"ann/Apply": {"f:a": {}, "f:b": {}}, "bob/Apply": {"f:b": {}}}
    left = await world.apply("ann", config(a="1"))
    assert left["data"] == {"a": "1", "b": "2"}
    assert shares(left) == {"ann/Apply": {"f:a": {}}, "bob/Apply": {"f:b": {}}}


async def test_another_value_is_a_conflict_that_names_owner_and_field(world: World) -> None:
    await world.apply("ann", config(a="1"))
    with pytest.raises(Conflict) as caught:
        await world.apply("bob", config(a="2"))
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "ann": .data.a'
    (cause,) = caught.value.causes
    assert (cause.reason, cause.message, cause.field) == ("FieldManagerConflict", 'conflict with "ann"', ".data.a")


async def test_several_conflicts_are_listed_by_owner(world: World) -> None:
    await world.create("maker", {"metadata": {"name": "x"}, "data": {"a": "1", "b": "2"}})
    await world.apply("ann", config(b="2"))
    with pytest.raises(Conflict) as caught:
        await world.apply("bob", config(a="3", b="3"))
    assert caught.value.message == (
        'Apply failed with 3 conflicts: conflicts with "ann":\n- .data.b\n'
        'conflicts with "maker" using v1:\n- .data.a\n- .data.b'
    )


async def test_force_takes_the_field(world: World) -> None:
    await world.apply("ann", config(a="1", b="1"))
    taken = await world.apply("bob", config(a="2"), force=True)
    assert taken["data"] == {"a": "2", "b": "1"}
    assert shares(taken) == {"ann/Apply": {"f:b": {}}, "bob/Apply": {"f:a": {}}}


async def test_an_update_takes_what_it_changes(world: World, clock: ManualClock) -> None:
    made = await world.apply("ann", config(a="1", b="1"))
    clock.now_s += 60
    made["data"] = {"a": "2", "b": "1", "c": "3"}
    changed = await world.update("editor", made)
    assert shares(changed) == {"ann/Apply": {"f:b": {}}, "editor/Update": {"f:a": {}, "f:c": {}}}
    assert changed["metadata"]["managedFields"][1]["time"] == "2027-01-15T08:01:00Z"


async def test_what_an_update_removes_is_nobodys(world: World) -> None:
    await world.apply("ann", config(a="1", b="1"))
    changed = await world.patch("editor", {"data": {"b": None}})
    assert shares(changed) == {"ann/Apply": {"f:a": {}}}
    assert (await world.apply("ann", config(a="1", b="1")))["data"] == {"a": "1", "b": "1"}


async def test_a_status_is_noted_apart(world: World) -> None:
    body = await world.create("maker", a_deployment(), DEPLOYMENTS)
    assert "f:status" not in body["metadata"]["managedFields"][0]["fieldsV1"]
    reported = await world.patch("boss", {"status": {"replicas": 2}}, DEPLOYMENTS, "web", subresource="status")
    entry = next(each for each in reported["metadata"]["managedFields"] if each["manager"] == "boss")
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:replicas": {}}})


async def test_a_status_is_applied_through_its_subresource(world: World) -> None:
    await world.create("maker", a_deployment(), DEPLOYMENTS)
    stated = {**a_deployment(), "apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 3}}
    applied = await world.apply("boss", stated, DEPLOYMENTS, subresource="status")
    assert applied["status"] == {"replicas": 3}
    entry = next(each for each in applied["metadata"]["managedFields"] if each["manager"] == "boss")
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:replicas": {}}})
    whole = await world.apply("boss", {**stated, "status": {"replicas": 9}}, DEPLOYMENTS, force=True)
    assert whole["status"] == {"replicas": 3}


async def test_a_scale_takes_the_replicas_from_the_applier(world: World) -> None:
    stated = {**a_deployment(replicas=2), "apiVersion": "apps/v1", "kind": "Deployment"}
    await world.apply("ann", stated, DEPLOYMENTS)
    await world.patch("autoscaler", {"spec": {"replicas": 5}}, DEPLOYMENTS, "web", subresource="scale")
    with pytest.raises(
        Conflict, match=r'conflict with "autoscaler" with subresource "scale" using apps/v1: \.spec\.replicas'
    ):
        await world.apply("ann", stated, DEPLOYMENTS)
    del stated["spec"]["replicas"]
    assert (await world.apply("ann", stated, DEPLOYMENTS))["spec"]["replicas"] == 5


async def test_list_elements_have_owners_of_their_own(world: World) -> None:
    def state(*containers: Body) -> Body:
        pod = a_deployment()
        pod["spec"]["template"]["spec"]["containers"] = list(containers)
        return {**pod, "apiVersion": "apps/v1", "kind": "Deployment"}

    main = {"name": "app", "image": "one", "ports": [{"containerPort": 80}]}
    await world.apply("ann", state(main), DEPLOYMENTS)
    added = await world.apply("bob", state({"name": "side", "image": "two"}), DEPLOYMENTS)
    assert [each["name"] for each in added["spec"]["template"]["spec"]["containers"]] == ["app", "side"]
    removed = await world.apply("bob", state({"name": "app", "workingDir": "/"}), DEPLOYMENTS)
    containers = removed["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], each["image"], each.get("workingDir")) for each in containers] == [("app", "one", "/")]
    less = await world.apply("ann", state({"name": "app", "image": "one"}), DEPLOYMENTS)
    assert "ports" not in less["spec"]["template"]["spec"]["containers"][0]


async def test_an_object_that_nobody_was_noted_for_belongs_to_who_was_before(world: World, client: LocalClient) -> None:
    await client.create("configmaps", {"metadata": {"name": "x", "namespace": "default"}, "data": {"a": "1", "b": "1"}})
    with pytest.raises(Conflict, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        await world.apply("ann", config(a="2"))
    taken = await world.apply("ann", config(a="2"), force=True)
    assert shares(taken) == {"ann/Apply": {"f:a": {}}, "before-first-apply/Update": {".": {}, "f:b": {}}}


async def test_the_clouds_own_parts_leave_no_note_of_creations_and_statuses(world: World, client: LocalClient) -> None:
    made = await client.create("pods", a_pod())
    assert "managedFields" not in made["metadata"]
    made["metadata"]["labels"]["more"] = "1"
    assert "managedFields" not in (await client.update("pods", made))["metadata"]
    noted = await world.create("ann", a_pod("noted"), "pods")
    before = noted["metadata"]["managedFields"]
    status = {"status": {"phase": "Running"}}
    reported = await client.patch("pods", "default", "noted", status, subresource="status")
    assert reported["metadata"]["managedFields"] == before
    labelled = await client.patch("pods", "default", "noted", {"metadata": {"labels": {"app": "else"}}})
    (mine,) = [each for each in labelled["metadata"]["managedFields"] if each["manager"] == "cloudcore"]
    assert mine["fieldsV1"] == {"f:metadata": {"f:labels": {"f:app": {}}}}


async def test_a_client_may_edit_the_notes_or_end_them(world: World) -> None:
    made = await world.apply("ann", config(a="1"))
    entry = {**made["metadata"]["managedFields"][0], "manager": "new-name"}
    renamed = await world.patch("editor", {"metadata": {"managedFields": [entry]}})
    assert shares(renamed) == {"new-name/Apply": {"f:a": {}}}
    kept = await world.patch("editor", {"metadata": {"managedFields": [{"manager": "nonsense"}]}})
    assert shares(kept) == shares(renamed)
    ended = await world.patch("editor", {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in ended["metadata"]


async def test_an_update_that_leaves_the_notes_out_keeps_them(world: World) -> None:
    made = await world.apply("ann", config(a="1"))
    del made["metadata"]["managedFields"]
    assert shares(await world.update("editor", made)) == {"ann/Apply": {"f:a": {}}}


async def test_a_manager_may_apply_in_either_version(world: World) -> None:
    resource = "horizontalpodautoscalers.autoscaling"
    registry = world.registry
    await world.apply("ann", sample(resource), resource)
    older = registry.kinds.at("autoscaling", "v1", "horizontalpodautoscalers")
    where = target(registry, resource, "default", "web")
    where = type(where)(where.kind, "default", "web", "", older)
    stated = {
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"targetCPUUtilizationPercentage": 10},
    }  # fmt: skip
    with pytest.raises(Conflict, match=r'conflict with "ann": \.spec\.metrics'):
        await apply(registry, where, stated, a_context(field_manager="bob"))
    record, made = await apply(registry, where, stated, a_context(field_manager="bob"), force=True)
    assert not made
    stored = record.decode()
    assert stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 10
    versions = {each["manager"]: each["apiVersion"] for each in stored["metadata"]["managedFields"]}
    assert versions == {"ann": "autoscaling/v2", "bob": "autoscaling/v1"}


async def test_the_note_of_client_side_apply_is_kept_up_to_date(world: World) -> None:
    noted = "kubectl.kubernetes.io/last-applied-configuration"
    await world.create("kubectl", {"metadata": {"name": "x", "annotations": {noted: "old"}}, "data": {"a": "1"}})
    applied = await world.apply("kubectl", config(a="1"))
    assert '"data":{"a":"1"}' in applied["metadata"]["annotations"][noted]


@pytest.mark.parametrize(
    ("changed", "error", "why"),
    [
        ({"kind": ""}, BadRequest, "Object 'kind' is missing"),
        ({"kind": "Secret"}, BadRequest, "cannot be handled"),
        ({"colour": "red"}, BadRequest, "field not declared"),
        ({"metadata": {"name": "x", "managedFields": [{}]}}, BadRequest, "must be nil"),
        ({"metadata": {"name": "x", "resourceVersion": "1"}}, BadRequest, "should not be set"),
        ({"data": {"a b": "1"}}, Invalid, "a valid config key"),
    ],
)
async def test_what_cannot_be_applied(world: World, changed: Body, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        await world.apply("ann", {**config(a="1"), **changed})


async def test_a_revision_in_the_configuration_must_hold(world: World) -> None:
    await world.apply("ann", config(a="1"))
    stale = config(a="2")
    stale["metadata"]["resourceVersion"] = "1"
    with pytest.raises(Conflict, match="modified"):
        await world.apply("ann", stale)


async def test_a_subresource_makes_no_object(world: World) -> None:
    stated = {**a_deployment(), "apiVersion": "apps/v1", "kind": "Deployment"}
    with pytest.raises(NotFound):
        await world.apply("ann", stated, DEPLOYMENTS, subresource="status")
    with pytest.raises(BadRequest, match="scale"):
        await world.apply("ann", stated, DEPLOYMENTS, subresource="scale")


async def test_a_dry_run_stores_nothing(world: World) -> None:
    shown = await world.apply("ann", config(a="1"), dry_run=True)
    assert shown["data"] == {"a": "1"}
    with pytest.raises(NotFound):
        await world.patch("ann", {"data": {}})


async def test_a_list_that_defaults_fill_is_not_written_again(world: World, clock: ManualClock) -> None:
    resource = "rolebindings.rbac.authorization.k8s.io"
    stated = sample(resource)
    for subject in stated["subjects"]:
        subject.pop("apiGroup", None)
    made = await world.apply("ann", stated, resource)
    clock.now_s += 60
    assert await world.apply("ann", sample(resource), resource) == made


async def test_a_custom_kinds_schema_says_what_has_parts(world: World, client: LocalClient) -> None:
    rules = {
        "type": "object",
        "properties": {
            "ports": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["number"],
                "items": {
                    "type": "object",
                    "required": ["number"],
                    "properties": {"number": {"type": "integer"}, "name": {"type": "string"}},
                },
            },
            "plain": {"type": "array", "items": {"type": "string"}},
        },
    }
    await client.create(DEFINITIONS, a_definition(a_version(spec=rules), a_version("v2", storage=False, spec=rules)))

    def state(*ports: Body, **spec: Any) -> Body:
        head = {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}
        return {**head, **a_crontab(spec={"ports": list(ports), **spec})}

    await world.apply("ann", state({"number": 1, "name": "a"}, plain=["x"]), CRONTABS)
    both = await world.apply("bob", state({"number": 2}), CRONTABS)
    assert [port["number"] for port in both["spec"]["ports"]] == [1, 2]
    with pytest.raises(Conflict, match=r"\.spec\.plain"):
        await world.apply("bob", state(plain=["y"]), CRONTABS)
    newer = world.registry.kinds.at("stable.example.com", "v2", "crontabs")
    where = target(world.registry, CRONTABS, "default", "mine")
    where = type(where)(where.kind, "default", "mine", "", newer)
    stated = {**state({"number": 1, "name": "b"}), "apiVersion": "stable.example.com/v2"}
    with pytest.raises(Conflict, match=r'conflict with "ann": \.spec\.ports\[number=1\]\.name'):
        await apply(world.registry, where, stated, a_context(field_manager="eve"))
    left = await world.apply("ann", state(), CRONTABS)
    assert left["spec"] == {"ports": [{"number": 2}]}
    with pytest.raises(BadRequest, match="not declared"):
        await world.apply("ann", state(colour="red"), CRONTABS)


async def test_what_the_server_chose_for_a_new_object_stays_when_its_creator_turns_to_applying(world: World) -> None:
    def job() -> Body:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
        named = {"name": "x", "namespace": "default"}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": named, "spec": {"template": template}}

    made = await world.create("kubectl", job(), "jobs.batch")
    assert "f:selector" not in made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    # What kubectl does before it applies on the server's side what it has applied on its own before.
    turned = [{"op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Apply"}]
    record = await world.patch("kubectl", turned, "jobs.batch", kind="json")
    assert record["metadata"]["managedFields"][0]["operation"] == "Apply"
    assert (await world.apply("kubectl", job(), "jobs.batch", force=True))["spec"] == made["spec"]
