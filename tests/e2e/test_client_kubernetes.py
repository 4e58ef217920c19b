"""The official Python client, typed and dynamic, against a real cloudcore: what programs do, unchanged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException, ConflictException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

from examples.demo.processes import Cloud
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NAMESPACE = "clients"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[client.ApiClient]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    with asyncio.Runner() as runner:
        runner.run(cloud.start())
        api = config.new_client_from_config(str(cloud.kubeconfig))
        core = client.CoreV1Api(api)
        core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
        yield api
        api.close()
        runner.run(cloud.daemon.stop())


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def config_map(name: str, data: dict[str, str], labels: dict[str, str] | None = None) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def deployment(name: str, replicas: int = 0) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "main", "image": "app:1", "command": ["sleep", "60"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def test_the_life_of_an_object_in_typed_calls(core: client.CoreV1Api) -> None:
    made = core.create_namespaced_config_map(NAMESPACE, config_map("typed", {"a": "1"}, {"for": "typed"}))
    assert made.metadata.creation_timestamp.tzinfo is not None
    assert made.metadata.creation_timestamp <= datetime.now(UTC)
    read = core.read_namespaced_config_map("typed", NAMESPACE)
    assert (read.metadata.uid, read.data) == (made.metadata.uid, {"a": "1"})
    read.data["b"] = "2"
    replaced = core.replace_namespaced_config_map("typed", NAMESPACE, read)
    assert replaced.data == {"a": "1", "b": "2"}
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map("typed", NAMESPACE, read)
    assert (stale.value.status, "the object has been modified" in stale.value.body) == (409, True)
    patched = core.patch_namespaced_config_map("typed", NAMESPACE, {"data": {"a": None, "c": "3"}})
    assert patched.data == {"b": "2", "c": "3"}
    patched = core.patch_namespaced_config_map("typed", NAMESPACE, [{"op": "remove", "path": "/data/b"}])
    assert patched.data == {"c": "3"}
    listed = core.list_namespaced_config_map(NAMESPACE, label_selector="for=typed")
    assert [item.metadata.name for item in listed.items] == ["typed"]
    core.delete_namespaced_config_map("typed", NAMESPACE)
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("typed", NAMESPACE)
    assert (gone.value.status, gone.value.reason) == (404, "Not Found")


def test_errors_carry_the_status_that_kubernetes_would_send(core: client.CoreV1Api) -> None:
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_config_map(NAMESPACE, config_map("Not A Name", {}))
    assert refused.value.status == 422
    assert '"reason":"Invalid"' in refused.value.body.replace(" ", "")
    core.create_namespaced_config_map(NAMESPACE, config_map("twice", {}))
    with pytest.raises(ApiException) as twice:
        core.create_namespaced_config_map(NAMESPACE, config_map("twice", {}))
    assert (twice.value.status, "AlreadyExists" in twice.value.body) == (409, True)


def test_a_long_list_comes_in_pages_of_one_revision(core: client.CoreV1Api) -> None:
    for number in range(25):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-{number:02}", {}, {"for": "pages"}))
    names: list[str] = []
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="for=pages", limit=10)
    revision = page.metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("page-99", {}, {"for": "pages"}))
    while True:
        assert page.metadata.resource_version == revision
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="for=pages", limit=10, _continue=token)
    assert names == [f"page-{number:02}" for number in range(25)]


def test_a_watch_sees_each_change_once_and_in_order(core: client.CoreV1Api) -> None:
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("watched", {"n": "0"}, {"for": "watch"}))
    for number in range(1, 4):
        core.patch_namespaced_config_map("watched", NAMESPACE, {"data": {"n": str(number)}})
    core.delete_namespaced_config_map("watched", NAMESPACE)
    seen = []
    for event in watch.Watch().stream(
        core.list_namespaced_config_map,
        NAMESPACE,
        label_selector="for=watch",
        resource_version=start,
        timeout_seconds=20,
    ):
        seen.append((event["type"], event["object"].data["n"]))
        if event["type"] == "DELETED":
            break
    assert seen == [("ADDED", "0"), ("MODIFIED", "1"), ("MODIFIED", "2"), ("MODIFIED", "3"), ("DELETED", "3")]


def test_a_watch_that_ends_is_taken_up_again_by_the_client(core: client.CoreV1Api) -> None:
    """The client reconnects at the end of each period; nothing between the periods may be missing."""
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    watching = watch.Watch()
    names: list[str] = []

    def follow() -> None:
        stream = watching.stream(
            core.list_namespaced_config_map, NAMESPACE, label_selector="for=ends", resource_version=start
        )
        for event in stream:
            names.append(event["object"].metadata.name)
            if len(names) == 2:
                watching.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(2):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"ends-{number}", {}, {"for": "ends"}))
    thread.join(timeout=30)
    assert names == ["ends-0", "ends-1"]


def test_manifests_are_created_from_a_file(api: client.ApiClient, tmp_path: Path) -> None:
    manifest = tmp_path / "all.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: from-file}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: from-file}\n"
        "spec: {selector: {app: x}, ports: [{port: 80, targetPort: http}]}\n"
    )
    utils.create_from_yaml(api, str(manifest), namespace=NAMESPACE)
    service = client.CoreV1Api(api).read_namespaced_service("from-file", NAMESPACE)
    assert service.spec.ports[0].target_port == "http"
    assert service.spec.cluster_ip.count(".") == 3


def test_subresources_in_typed_calls(api: client.ApiClient) -> None:
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment(NAMESPACE, deployment("scaled"))

    def replaced() -> bool:
        """Read, change, write: what the controller writes in between is a conflict, as everywhere."""
        scale = apps.read_namespaced_deployment_scale("scaled", NAMESPACE)
        scale.spec.replicas = 2
        try:
            return bool(apps.replace_namespaced_deployment_scale("scaled", NAMESPACE, scale).spec.replicas == 2)
        except ConflictException:
            return False

    assert eventually(replaced, within_s=10)
    patched = apps.patch_namespaced_deployment_scale("scaled", NAMESPACE, {"spec": {"replicas": 1}})
    assert (patched.kind, patched.spec.replicas) == ("Scale", 1)
    core = client.CoreV1Api(api)

    def pods() -> list[client.V1Pod]:
        items: list[client.V1Pod] = core.list_namespaced_pod(NAMESPACE, label_selector="app=scaled").items
        return items

    def settled() -> bool:
        """Tell whether the replica set has done what it was told last: on the way there may be one pod too."""
        (owner,) = apps.list_namespaced_replica_set(NAMESPACE, label_selector="app=scaled").items
        told = (owner.spec.replicas, owner.status.observed_generation)
        return bool(told == (1, owner.metadata.generation) and owner.status.replicas == len(pods()) == 1)

    assert eventually(settled, within_s=20)
    (pod,) = pods()
    owner = pod.metadata.owner_references[0]
    assert (owner.kind, owner.controller) == ("ReplicaSet", True)
    core.patch_namespaced_pod_status(pod.metadata.name, NAMESPACE, {"status": {"message": "by hand"}})
    assert core.read_namespaced_pod_status(pod.metadata.name, NAMESPACE).status.message == "by hand"
    apps.delete_namespaced_deployment("scaled", NAMESPACE, propagation_policy="Foreground")
    assert eventually(lambda: not pods(), within_s=20)


def test_every_group_that_the_client_knows_can_be_listed(api: client.ApiClient) -> None:
    """Typed clients fail on a body that lacks what their models require: this reads each kind's list."""
    lists = [
        client.CoreV1Api(api).list_pod_for_all_namespaces,
        client.CoreV1Api(api).list_node,
        client.CoreV1Api(api).list_persistent_volume,
        client.CoreV1Api(api).list_endpoints_for_all_namespaces,
        client.AppsV1Api(api).list_stateful_set_for_all_namespaces,
        client.AppsV1Api(api).list_daemon_set_for_all_namespaces,
        client.BatchV1Api(api).list_job_for_all_namespaces,
        client.BatchV1Api(api).list_cron_job_for_all_namespaces,
        client.AutoscalingV2Api(api).list_horizontal_pod_autoscaler_for_all_namespaces,
        client.PolicyV1Api(api).list_pod_disruption_budget_for_all_namespaces,
        client.CoordinationV1Api(api).list_lease_for_all_namespaces,
        client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces,
        client.NodeV1Api(api).list_runtime_class,
        client.SchedulingV1Api(api).list_priority_class,
        client.RbacAuthorizationV1Api(api).list_cluster_role,
        client.RbacAuthorizationV1Api(api).list_cluster_role_binding,
        client.NetworkingV1Api(api).list_ingress_for_all_namespaces,
        client.NetworkingV1Api(api).list_network_policy_for_all_namespaces,
        # Not events.k8s.io: this client demands an eventTime, which Kubernetes leaves null in such events too.
        client.CoreV1Api(api).list_event_for_all_namespaces,
        client.CertificatesV1Api(api).list_certificate_signing_request,
        client.StorageV1Api(api).list_storage_class,
        client.ApiextensionsV1Api(api).list_custom_resource_definition,
        client.AdmissionregistrationV1Api(api).list_validating_webhook_configuration,
    ]
    for listing in lists:
        assert listing().metadata.resource_version, listing.__name__
    assert client.VersionApi(api).get_code().git_version.startswith("v1.")
    groups = {group.name for group in client.ApisApi(api).get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io", "apiextensions.k8s.io"} <= groups


def test_reviews_say_who_is_asking(api: client.ApiClient) -> None:
    review = client.AuthenticationV1Api(api).create_self_subject_review({})
    assert "system:masters" in review.status.user_info.groups
    access = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}}
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(access).status.allowed is True


def test_a_definition_and_its_objects_through_the_custom_objects_api(api: client.ApiClient) -> None:
    definitions, objects = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
    definitions.create_custom_resource_definition(definition("gadgets", "Gadget"))
    where = ("clients.example.com", "v1", NAMESPACE, "gadgets")

    def established() -> bool:
        read = definitions.read_custom_resource_definition("gadgets.clients.example.com")
        return any(c.type == "Established" and c.status == "True" for c in read.status.conditions or [])

    assert eventually(established, within_s=10)
    body = {"apiVersion": "clients.example.com/v1", "kind": "Gadget", "metadata": {"name": "one"}, "spec": {"size": 3}}
    objects.create_namespaced_custom_object(*where, body)
    objects.patch_namespaced_custom_object(*where, "one", {"spec": {"size": 4}})
    objects.patch_namespaced_custom_object_status(*where, "one", {"status": {"seen": 4}})
    read = objects.get_namespaced_custom_object(*where, "one")
    assert (read["spec"], read["status"]) == ({"size": 4}, {"seen": 4})
    with pytest.raises(ApiException) as refused:
        objects.patch_namespaced_custom_object(*where, "one", {"spec": {"size": "big"}})
    assert refused.value.status == 422
    objects.delete_namespaced_custom_object(*where, "one")


def definition(plural: str, kind: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"seen": {"type": "integer"}}},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.clients.example.com"},
        "spec": {
            "group": "clients.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }


def test_the_dynamic_client_discovers_applies_and_watches(api: client.ApiClient) -> None:
    found = dynamic.DynamicClient(api)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    assert "scale" in deployments.subresources
    applied = deployments.server_side_apply(body=deployment("dynamic"), field_manager="tests")
    assert applied.metadata.managedFields[0].manager == "tests"
    other = deployment("dynamic", replicas=3)
    with pytest.raises(ConflictError):
        deployments.server_side_apply(body=other, field_manager="somebody-else")
    forced = deployments.server_side_apply(body=other, field_manager="somebody-else", force_conflicts=True)
    assert forced.spec.replicas == 3
    config_maps = found.resources.get(api_version="v1", kind="ConfigMap")
    start = config_maps.get(namespace=NAMESPACE).metadata.resourceVersion
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dynamic"}, "data": {"a": "b"}}
    config_maps.create(body=body, namespace=NAMESPACE)
    event = next(iter(config_maps.watch(namespace=NAMESPACE, name="dynamic", resource_version=start, timeout=10)))
    assert (event["type"], event["object"].data.a) == ("ADDED", "b")
    config_maps.delete(name="dynamic", namespace=NAMESPACE)
    with pytest.raises(NotFoundError):
        config_maps.get(name="dynamic", namespace=NAMESPACE)
    deployments.delete(name="dynamic", namespace=NAMESPACE)
