"""Rows of the core group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.kinds.kind import Kind, Subresource, status_of

_SCHEMA: Final = "io.k8s.api.core.v1."
_EVICTION: Final = Subresource(name="eviction", kind="Eviction", group="policy", verbs=("create",))
_BINDING: Final = Subresource(name="binding", kind="Binding", verbs=("create",))

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
    ),
    Kind(
        kind="Node",
        plural="nodes",
        schema=_SCHEMA + "Node",
        namespaced=False,
        short_names=("no",),
        subresources=(status_of("Node"),),
        fields={"spec.unschedulable": "false"},
        status=True,
        status_at_create=True,
    ),
    Kind(
        kind="Pod",
        plural="pods",
        schema=_SCHEMA + "Pod",
        short_names=("po",),
        categories=("all",),
        subresources=(status_of("Pod"), _BINDING, _EVICTION),
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
    ),
    Kind(kind="ConfigMap", plural="configmaps", schema=_SCHEMA + "ConfigMap", short_names=("cm",)),
    Kind(kind="Secret", plural="secrets", schema=_SCHEMA + "Secret", fields={"type": ""}),
    Kind(
        kind="Service",
        plural="services",
        schema=_SCHEMA + "Service",
        short_names=("svc",),
        categories=("all",),
        subresources=(status_of("Service"),),
        fields={"spec.clusterIP": "", "spec.type": ""},
        status=True,
        name_rule="service",
    ),
    Kind(kind="Endpoints", plural="endpoints", schema=_SCHEMA + "Endpoints", singular="endpoints", short_names=("ep",)),
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
    ),
    Kind(kind="ServiceAccount", plural="serviceaccounts", schema=_SCHEMA + "ServiceAccount", short_names=("sa",)),
)
