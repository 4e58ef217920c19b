"""Rows of the core group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.core import (
    default_endpoints,
    default_namespace,
    default_node,
    default_secret,
    default_service,
)
from cloudcore.apiserver.kinds import strategies
from cloudcore.apiserver.kinds.kind import Kind, Subresource, proxy_of, status_of
from cloudcore.apiserver.kinds.services import changed_service
from cloudcore.apiserver.validation.cluster import check_event, check_node, check_node_status, check_node_update
from cloudcore.apiserver.validation.config import check_config_update, check_configmap, check_secret
from cloudcore.apiserver.validation.pods import check_pod
from cloudcore.apiserver.validation.podupdates import check_pod_update
from cloudcore.apiserver.validation.services import check_service, check_service_update
from protocol.objects.poddefaults import default_pod

_SCHEMA: Final = "io.k8s.api.core.v1."
_EVICTION: Final = Subresource(name="eviction", kind="Eviction", group="policy", verbs=("create",))
_BINDING: Final = Subresource(name="binding", kind="Binding", verbs=("create",))
_OF_POD: Final = (
    status_of("Pod"),
    _BINDING,
    _EVICTION,
    Subresource(name="ephemeralcontainers", kind="Pod"),
    Subresource(name="resize", kind="Pod"),
    Subresource(name="attach", kind="PodAttachOptions", verbs=("create", "get"), streamed=True),
    Subresource(name="exec", kind="PodExecOptions", verbs=("create", "get"), streamed=True),
    Subresource(name="log", kind="Pod", verbs=("get",), streamed=True),
    Subresource(name="portforward", kind="PodPortForwardOptions", verbs=("create", "get"), streamed=True),
    proxy_of("Pod"),
)

ROWS: Final = (
    Kind(
        kind="Namespace",
        plural="namespaces",
        schema=_SCHEMA + "Namespace",
        namespaced=False,
        short_names=("ns",),
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        subresources=(status_of("Namespace"), Subresource(name="finalize", kind="Namespace", verbs=("update",))),
        fields={"status.phase": ""},
        status=True,
        name_rule="label",
        defaults=default_namespace,
        prepare_create=strategies.new_namespace,
        prepare_update=strategies.changed_namespace,
    ),
    Kind(
        kind="Node",
        plural="nodes",
        schema=_SCHEMA + "Node",
        namespaced=False,
        short_names=("no",),
        subresources=(status_of("Node"), proxy_of("Node")),
        fields={"spec.unschedulable": "false"},
        status=True,
        status_at_create=True,
        defaults=default_node,
        validate=check_node,
        validate_update=check_node_update,
        validate_status=check_node_status,
    ),
    Kind(
        kind="Pod",
        plural="pods",
        schema=_SCHEMA + "Pod",
        returns_deleted=True,
        short_names=("po",),
        categories=("all",),
        subresources=_OF_POD,
        fields={
            "spec.nodeName": "",
            "spec.restartPolicy": "",
            "spec.schedulerName": "",
            "spec.serviceAccountName": "",
            "spec.hostNetwork": "false",
            "status.phase": "",
            "status.podIP": "",
            "status.nominatedNodeName": "",
        },
        status=True,
        generation=True,
        graceful=True,
        defaults=default_pod,
        prepare_create=strategies.new_pod,
        validate=check_pod,
        validate_update=check_pod_update,
    ),
    Kind(
        kind="ConfigMap",
        plural="configmaps",
        schema=_SCHEMA + "ConfigMap",
        short_names=("cm",),
        validate=check_configmap,
        validate_update=check_config_update,
    ),
    Kind(
        kind="Secret",
        plural="secrets",
        schema=_SCHEMA + "Secret",
        fields={"type": ""},
        defaults=default_secret,
        prepare_update=strategies.changed_secret,
        validate=check_secret,
        validate_update=check_config_update,
    ),
    Kind(
        kind="Service",
        plural="services",
        schema=_SCHEMA + "Service",
        returns_deleted=True,
        short_names=("svc",),
        categories=("all",),
        subresources=(status_of("Service"), proxy_of("Service")),
        fields={"spec.clusterIP": "", "spec.type": ""},
        status=True,
        put_creates=True,
        name_rule="service",
        defaults=default_service,
        prepare_create=strategies.new_service,
        prepare_update=changed_service,
        validate=check_service,
        validate_update=check_service_update,
    ),
    Kind(
        kind="Endpoints",
        plural="endpoints",
        schema=_SCHEMA + "Endpoints",
        singular="endpoints",
        short_names=("ep",),
        put_creates=True,
        defaults=default_endpoints,
    ),
    Kind(
        kind="Event",
        plural="events",
        schema=_SCHEMA + "Event",
        short_names=("ev",),
        fields={
            "involvedObject.kind": "",
            "involvedObject.namespace": "",
            "involvedObject.name": "",
            "involvedObject.uid": "",
            "involvedObject.apiVersion": "",
            "involvedObject.resourceVersion": "",
            "involvedObject.fieldPath": "",
            "reason": "",
            "reportingComponent": "",
            "source": "",
            "type": "",
        },
        put_creates=True,
        validate=check_event,
    ),
    Kind(
        kind="ServiceAccount",
        plural="serviceaccounts",
        schema=_SCHEMA + "ServiceAccount",
        returns_deleted=True,
        short_names=("sa",),
        subresources=(
            Subresource(name="token", kind="TokenRequest", group="authentication.k8s.io", verbs=("create",)),
        ),
    ),
)
