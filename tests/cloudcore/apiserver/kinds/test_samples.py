"""What Kubernetes fills in, keeps and refuses, kind by kind."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Invalid
from tests.support.kindsamples import resource_of, sample, samples
from tests.support.registries import make_registry

Body = dict[str, Any]


async def created(client: LocalClient, registry: Registry, body: Body) -> Body:
    kind = registry.kinds.of(resource_of(body))
    if kind.namespaced:
        body["metadata"]["namespace"] = "default"
    return await client.create(kind.resource, body)


@pytest.fixture
def registry() -> Registry:
    return make_registry()


@pytest.fixture
def client(registry: Registry) -> LocalClient:
    return LocalClient(registry)


def at(body: Any, path: str) -> Any:
    for step in path.split("/"):
        body = body[int(step)] if isinstance(body, list) else body.get(step)
        if body is None:
            return None
    return body


@pytest.mark.parametrize("body", samples(), ids=resource_of)
async def test_a_good_object_is_stored_and_a_second_write_of_it_changes_nothing(
    client: LocalClient, registry: Registry, body: Body
) -> None:
    stored = await created(client, registry, body)
    assert (await client.update(resource_of(body), stored)) == stored


@pytest.mark.parametrize(
    ("resource", "path", "value"),
    [
        ("podtemplates", "template/spec/restartPolicy", "Always"),
        ("replicationcontrollers", "spec/selector", {"app": "web"}),
        ("replicationcontrollers", "metadata/labels", {"app": "web"}),
        ("persistentvolumes", "spec/persistentVolumeReclaimPolicy", "Retain"),
        ("persistentvolumes", "status/phase", "Pending"),
        ("persistentvolumeclaims", "spec/volumeMode", "Filesystem"),
        ("limitranges", "spec/limits/0/default", {"cpu": "1"}),
        ("limitranges", "spec/limits/0/defaultRequest", {"cpu": "1", "memory": "8Mi"}),
        ("daemonsets.apps", "spec/updateStrategy/rollingUpdate", {"maxUnavailable": 1, "maxSurge": 0}),
        ("statefulsets.apps", "spec/podManagementPolicy", "OrderedReady"),
        ("statefulsets.apps", "spec/volumeClaimTemplates/0/spec/volumeMode", "Filesystem"),
        ("statefulsets.apps", "spec/updateStrategy/rollingUpdate/partition", 0),
        ("jobs.batch", "spec/completions", 1),
        ("jobs.batch", "spec/backoffLimit", 6),
        ("jobs.batch", "metadata/generation", 1),
        ("jobs.batch", "spec/template/metadata/labels/job-name", "once"),
        ("cronjobs.batch", "spec/concurrencyPolicy", "Allow"),
        ("cronjobs.batch", "spec/failedJobsHistoryLimit", 1),
        ("horizontalpodautoscalers.autoscaling", "spec/minReplicas", 1),
        ("horizontalpodautoscalers.autoscaling", "spec/behavior/scaleUp/policies/0/value", 4),
        ("endpointslices.discovery.k8s.io", "ports/0/protocol", "TCP"),
        ("rolebindings.rbac.authorization.k8s.io", "subjects/0/apiGroup", "rbac.authorization.k8s.io"),
        ("ingressclasses.networking.k8s.io", "spec/parameters/scope", "Cluster"),
        ("networkpolicies.networking.k8s.io", "spec/policyTypes", ["Ingress", "Egress"]),
        ("networkpolicies.networking.k8s.io", "spec/egress/0/ports/0/protocol", "TCP"),
        ("storageclasses.storage.k8s.io", "volumeBindingMode", "Immediate"),
        ("csidrivers.storage.k8s.io", "spec/attachRequired", True),
        ("validatingwebhookconfigurations.admissionregistration.k8s.io", "webhooks/0/failurePolicy", "Fail"),
        ("validatingwebhookconfigurations.admissionregistration.k8s.io", "webhooks/0/clientConfig/service/port", 443),
        ("mutatingwebhookconfigurations.admissionregistration.k8s.io", "webhooks/0/reinvocationPolicy", "Never"),
        ("validatingadmissionpolicies.admissionregistration.k8s.io", "spec/failurePolicy", "Fail"),
        ("validatingadmissionpolicies.admissionregistration.k8s.io", "spec/matchConstraints/matchPolicy", "Equivalent"),
        (
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            "spec/matchConstraints/resourceRules/0/scope",
            "*",
        ),
        (
            "validatingadmissionpolicybindings.admissionregistration.k8s.io",
            "spec/matchResources/namespaceSelector",
            {},
        ),
        ("apiservices.apiregistration.k8s.io", "spec/service/port", 443),
    ],
)
async def test_absent_fields_are_filled(
    client: LocalClient, registry: Registry, resource: str, path: str, value: Any
) -> None:
    assert at(await created(client, registry, sample(resource)), path) == value


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        ("replicationcontrollers", {"replicas": 0}),
        ("statefulsets.apps", {"availableReplicas": 0, "replicas": 0}),
        (
            "daemonsets.apps",
            {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0},
        ),
        ("jobs.batch", {}),
        ("cronjobs.batch", {}),
        ("horizontalpodautoscalers.autoscaling", {"desiredReplicas": 0}),
        (
            "poddisruptionbudgets.policy",
            {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
        ),
        ("ingresses.networking.k8s.io", {"loadBalancer": {}}),
        ("resourcequotas", {}),
        ("certificatesigningrequests.certificates.k8s.io", {}),
        ("volumeattachments.storage.k8s.io", {"attached": False}),
    ],
)
async def test_a_new_object_has_a_status_whatever_its_creator_says(
    client: LocalClient, registry: Registry, resource: str, status: Body
) -> None:
    body = sample(resource) | {"status": {"replicas": 7}}
    assert (await created(client, registry, body))["status"] == status


async def test_a_job_selects_its_own_pods_by_its_uid(client: LocalClient, registry: Registry) -> None:
    job = await created(client, registry, sample("jobs.batch"))
    uid = job["metadata"]["uid"]
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert job["spec"]["template"]["metadata"]["labels"]["controller-uid"] == uid


def changed(body: Body, path: str, value: Any) -> Body:
    *steps, last = path.split("/")
    node: Any = body
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return body


@pytest.mark.parametrize(
    ("resource", "path", "becomes"),
    [
        ("clusterrolebindings.rbac.authorization.k8s.io", "roleRef/apiGroup", "rbac.authorization.k8s.io"),
        ("networkpolicies.networking.k8s.io", "spec/podSelector", {}),
        ("limitranges", "spec/limits", None),
        ("controllerrevisions.apps", "revision", None),
        ("endpointslices.discovery.k8s.io", "endpoints", None),
        ("csinodes.storage.k8s.io", "spec/drivers", None),
        ("csidrivers.storage.k8s.io", "spec", {"attachRequired": True}),
    ],
)
async def test_fields_that_openapi_requires_may_be_absent_where_kubernetes_takes_that(
    client: LocalClient, registry: Registry, resource: str, path: str, becomes: Any
) -> None:
    stored = at(await created(client, registry, changed(sample(resource), path, None)), path)
    if isinstance(becomes, dict):
        assert stored.items() >= becomes.items()
    else:
        assert stored == becomes


async def test_a_priority_class_without_a_value_has_none_to_speak_of(client: LocalClient) -> None:
    stored = await client.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "plain"}})
    assert stored["value"] == 0


async def test_a_failure_policy_asks_for_conditions_that_are_true(client: LocalClient, registry: Registry) -> None:
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    job = await created(client, registry, changed(sample("jobs.batch"), "spec/podFailurePolicy", policy))
    assert at(job, "spec/podFailurePolicy/rules/0/onPodConditions/0/status") == "True"


async def test_a_stateful_sets_containers_mount_what_its_claim_templates_bring(
    client: LocalClient, registry: Registry
) -> None:
    body = sample("statefulsets.apps")
    mounts = [{"name": "data", "mountPath": "/data"}]
    stored = await created(client, registry, changed(body, "spec/template/spec/containers/0/volumeMounts", mounts))
    assert at(stored, "spec/template/spec/containers/0/volumeMounts") == mounts


BAD = [
    ("statefulsets.apps", "spec/template/spec/restartPolicy", "Never", "spec.template.spec.restartPolicy"),
    (
        "statefulsets.apps",
        "spec/template/spec/activeDeadlineSeconds",
        5,
        "spec.template.spec.activeDeadlineSeconds",
    ),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", "spec/validations", [], "spec.validations"),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", "spec/failurePolicy", "Shrug", "spec.failurePolicy"),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", "spec/paramKind", {}, "spec.paramKind.kind"),
    (
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "spec/matchConstraints",
        None,
        "spec.matchConstraints",
    ),
    (
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "spec/validations/0/expression",
        " ",
        "spec.validations[0].expression",
    ),
    (
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "spec/matchConstraints/resourceRules",
        [],
        "spec.matchConstraints.resourceRules",
    ),
    (
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "spec/validationActions",
        ["Deny", "Warn"],
        "spec.validationActions",
    ),
    (
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "spec/validationActions",
        ["Shout"],
        "spec.validationActions[0]",
    ),
    ("apiservices.apiregistration.k8s.io", "spec/version", "v1", "metadata.name"),
    ("apiservices.apiregistration.k8s.io", "spec/versionPriority", 0, "spec.versionPriority"),
    ("apiservices.apiregistration.k8s.io", "spec/service/namespace", None, "spec.service.namespace"),
    ("replicationcontrollers", "spec/selector", {"app": "other"}, "spec.template.metadata.labels"),
    ("podtemplates", "template/spec/containers", [], "template.spec.containers"),
    ("persistentvolumes", "spec/capacity", {"cpu": "1"}, "spec.capacity"),
    ("persistentvolumes", "spec/accessModes", ["Sometimes"], "spec.accessModes"),
    ("persistentvolumes", "spec/hostPath", None, "spec"),
    ("persistentvolumes", "spec/nfs", {"path": "/", "server": "a"}, "spec.nfs"),
    ("persistentvolumeclaims", "spec/accessModes", None, "spec.accessModes"),
    ("persistentvolumeclaims", "spec/resources", None, "spec.resources.requests[storage]"),
    ("persistentvolumeclaims", "spec/accessModes", ["ReadWriteOncePod", "ReadWriteOnce"], "spec.accessModes"),
    ("limitranges", "spec/limits/0/min", {"cpu": "2"}, "spec.limits[0].min[cpu]"),
    ("limitranges", "spec/limits/0/type", "Node", "spec.limits[0].type"),
    ("resourcequotas", "spec/hard", {"pods": "-1"}, "spec.hard[pods]"),
    ("resourcequotas", "spec/scopes", ["Now"], "spec.scopes"),
    ("daemonsets.apps", "spec/updateStrategy", {"type": "Sometimes"}, "spec.updateStrategy.type"),
    (
        "daemonsets.apps",
        "spec/updateStrategy",
        {"rollingUpdate": {"maxUnavailable": 0}},
        "spec.updateStrategy.rollingUpdate.maxUnavailable",
    ),
    ("daemonsets.apps", "spec/template/spec/restartPolicy", "Never", "spec.template.spec.restartPolicy"),
    ("statefulsets.apps", "spec/podManagementPolicy", "Random", "spec.podManagementPolicy"),
    (
        "statefulsets.apps",
        "spec/volumeClaimTemplates/0/spec/accessModes",
        [],
        "spec.volumeClaimTemplates[0].spec.accessModes",
    ),
    ("controllerrevisions.apps", "revision", -1, "revision"),
    ("jobs.batch", "spec/template/spec/restartPolicy", "Always", "spec.template.spec.restartPolicy"),
    ("jobs.batch", "spec/completionMode", "Indexed", ""),
    ("jobs.batch", "spec/backoffLimit", -1, "spec.backoffLimit"),
    ("cronjobs.batch", "spec/schedule", "* * *", "spec.schedule"),
    ("cronjobs.batch", "spec/schedule", "TZ=UTC * * * * *", "spec.schedule"),
    ("cronjobs.batch", "spec/timeZone", "Mars/Olympus", "spec.timeZone"),
    ("cronjobs.batch", "metadata/name", "n" * 53, "metadata.name"),
    ("horizontalpodautoscalers.autoscaling", "spec/maxReplicas", 0, "spec.maxReplicas"),
    ("horizontalpodautoscalers.autoscaling", "spec/minReplicas", 9, "spec.maxReplicas"),
    ("horizontalpodautoscalers.autoscaling", "spec/scaleTargetRef/name", "", "spec.scaleTargetRef.name"),
    ("horizontalpodautoscalers.autoscaling", "spec/metrics/0/type", "Pods", "spec.metrics[0].resource"),
    ("poddisruptionbudgets.policy", "spec/maxUnavailable", 1, "spec"),
    ("poddisruptionbudgets.policy", "spec/minAvailable", "150%", "spec.minAvailable"),
    ("endpointslices.discovery.k8s.io", "addressType", "IPX", "addressType"),
    ("endpointslices.discovery.k8s.io", "endpoints/0/addresses", ["::1"], "endpoints[0].addresses[0]"),
    ("endpointslices.discovery.k8s.io", "endpoints/0/addresses", [], "endpoints[0].addresses"),
    ("roles.rbac.authorization.k8s.io", "rules/0/verbs", [], "rules[0].verbs"),
    ("roles.rbac.authorization.k8s.io", "rules/0/nonResourceURLs", ["/"], "rules[0].nonResourceURLs"),
    ("clusterroles.rbac.authorization.k8s.io", "rules/0/apiGroups", [""], "rules[0].nonResourceURLs"),
    ("rolebindings.rbac.authorization.k8s.io", "roleRef/kind", "Group", "roleRef.kind"),
    ("rolebindings.rbac.authorization.k8s.io", "subjects/1/namespace", None, "subjects[1].namespace"),
    ("clusterrolebindings.rbac.authorization.k8s.io", "subjects/0/kind", "Robot", "subjects[0].kind"),
    ("ingresses.networking.k8s.io", "spec/rules", None, "spec"),
    ("ingresses.networking.k8s.io", "spec/rules/0/http/paths/0/path", "x", "spec.rules[0].http.paths[0].path"),
    ("ingresses.networking.k8s.io", "spec/rules/0/http/paths/0/backend", {}, "spec.rules[0].http.paths[0].backend"),
    ("ingressclasses.networking.k8s.io", "spec/controller", "nginx", "spec.controller"),
    (
        "networkpolicies.networking.k8s.io",
        "spec/egress/0/to",
        [{"ipBlock": {"cidr": "10.0.0.0"}}],
        "spec.egress[0].to[0].ipBlock.cidr",
    ),
    ("storageclasses.storage.k8s.io", "reclaimPolicy", "Recycle", "reclaimPolicy"),
    ("certificatesigningrequests.certificates.k8s.io", "spec/request", "aGk=", "spec.request"),
    ("certificatesigningrequests.certificates.k8s.io", "spec/signerName", "me", "spec.signerName"),
    ("certificatesigningrequests.certificates.k8s.io", "spec/usages", ["flying"], "spec.usages[0]"),
    ("certificatesigningrequests.certificates.k8s.io", "spec/expirationSeconds", 5, "spec.expirationSeconds"),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", "webhooks/0/name", "short", "webhooks[0].name"),
    (
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "webhooks/0/sideEffects",
        "Some",
        "webhooks[0].sideEffects",
    ),
    (
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "webhooks/0/timeoutSeconds",
        60,
        "webhooks[0].timeoutSeconds",
    ),
    (
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "webhooks/0/clientConfig/url",
        "http://a/",
        "webhooks[0].clientConfig.url",
    ),
]


@pytest.mark.parametrize(("resource", "path", "value", "field"), BAD)
async def test_a_bad_object_is_refused_with_the_field_named(
    client: LocalClient, registry: Registry, resource: str, path: str, value: Any, field: str
) -> None:
    body = changed(sample(resource), path, value)
    if resource == "jobs.batch" and path.endswith("completionMode"):
        body["spec"]["parallelism"], field = 2, "spec.completions"
    with pytest.raises(Invalid) as caught:
        await created(client, registry, body)
    assert field in [cause.field for cause in caught.value.causes]


@pytest.mark.parametrize(
    ("resource", "path", "value", "field"),
    [
        ("persistentvolumes", "spec/hostPath/path", "/elsewhere", "spec.persistentvolumesource"),
        ("persistentvolumeclaims", "spec/accessModes", ["ReadWriteMany"], "spec"),
        ("persistentvolumeclaims", "spec/resources/requests/storage", "1Mi", "spec.resources.requests.storage"),
        ("resourcequotas", "spec/scopes", ["BestEffort"], "spec.scopes"),
        ("daemonsets.apps", "spec/selector/matchLabels", {"app": "other"}, "spec.selector"),
        ("statefulsets.apps", "spec/serviceName", "other", "spec"),
        ("controllerrevisions.apps", "data", {"spec": 1}, "data"),
        ("jobs.batch", "spec/completions", 5, "spec.completions"),
        ("jobs.batch", "spec/template/spec/containers/0/image", "other", "spec.template"),
        ("endpointslices.discovery.k8s.io", "addressType", "FQDN", "addressType"),
        ("rolebindings.rbac.authorization.k8s.io", "roleRef/name", "other", "roleRef"),
        ("ingressclasses.networking.k8s.io", "spec/controller", "other.com/x", "spec.controller"),
        ("storageclasses.storage.k8s.io", "provisioner", "other", "provisioner"),
        ("storageclasses.storage.k8s.io", "volumeBindingMode", "WaitForFirstConsumer", "volumeBindingMode"),
    ],
)
async def test_what_is_fixed_cannot_be_changed(
    client: LocalClient, registry: Registry, resource: str, path: str, value: Any, field: str
) -> None:
    stored = await created(client, registry, sample(resource))
    with pytest.raises(Invalid) as caught:
        await client.update(resource, changed(stored, path, value))
    assert field in [cause.field for cause in caught.value.causes]


async def test_a_suspended_job_may_be_placed_elsewhere_before_it_starts(
    client: LocalClient, registry: Registry
) -> None:
    job = await created(client, registry, changed(sample("jobs.batch"), "spec/suspend", True))
    job["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "a"}
    assert (await client.update("jobs.batch", job))["spec"]["template"]["spec"]["nodeSelector"] == {"zone": "a"}


async def test_a_claim_may_be_bound_and_grow(client: LocalClient, registry: Registry) -> None:
    claim = await created(client, registry, sample("persistentvolumeclaims"))
    claim["spec"]["volumeName"] = "disk"
    claim["spec"]["resources"]["requests"]["storage"] = "2Gi"
    claim = await client.update("persistentvolumeclaims", claim)
    claim["spec"]["volumeName"] = "other"
    with pytest.raises(Invalid):
        await client.update("persistentvolumeclaims", claim)


async def test_what_a_certificate_request_asks_for_stays(client: LocalClient, registry: Registry) -> None:
    resource = "certificatesigningrequests.certificates.k8s.io"
    request = await created(client, registry, sample(resource))
    request["spec"]["usages"] = ["server auth"]
    assert (await client.update(resource, request))["spec"]["usages"] == ["client auth"]
    request["status"] = {"certificate": "Zm9yZ2Vk", "conditions": [{"type": "Approved", "status": "True"}]}
    approved = await client.update(resource, request, subresource="approval")
    assert approved["status"] == {"conditions": [{"type": "Approved", "status": "True"}]}


async def test_jobs_are_selected_by_their_successes(client: LocalClient, registry: Registry) -> None:
    await created(client, registry, sample("jobs.batch"))
    assert await client.list("jobs.batch", "default", field_selector="status.successful=1") == []
    await client.patch("jobs.batch", "default", "once", {"status": {"succeeded": 1}}, subresource="status")
    assert len(await client.list("jobs.batch", "default", field_selector="status.successful=1")) == 1
