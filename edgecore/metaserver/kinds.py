"""The kinds that the device serves: those that its slice can hold. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.objects.keys import Body


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        kind: Its name.
        plural: The plural in paths.
        group: Its API group.
        version: The version that the slice has.
        namespaced: Whether its objects live in namespaces.
        short_names: What kubectl takes for it.
        fields: What field selectors may name beside name and namespace, and what stands for an absent value.
        status: Whether it has the subresource ``status``.
    """

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    status: bool = False

    @property
    def resource(self) -> str:
        """The group-resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """``v1``, ``discovery.k8s.io/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The singular in kubectl's answers."""
        return self.kind.lower()


_POD_FIELDS: Final = {
    "spec.nodeName": "",
    "spec.restartPolicy": "",
    "spec.schedulerName": "",
    "spec.serviceAccountName": "",
    "spec.hostNetwork": "false",
    "status.phase": "",
    "status.podIP": "",
    "status.nominatedNodeName": "",
}

KINDS: Final = (
    Kind("Node", "nodes", namespaced=False, short_names=("no",), fields={"spec.unschedulable": "false"}, status=True),
    Kind("Pod", "pods", short_names=("po",), fields=_POD_FIELDS, status=True),
    Kind("ConfigMap", "configmaps", short_names=("cm",)),
    Kind("Secret", "secrets", fields={"type": ""}),
    Kind("Service", "services", short_names=("svc",), fields={"spec.clusterIP": "", "spec.type": ""}, status=True),
    Kind("ServiceAccount", "serviceaccounts", short_names=("sa",)),
    Kind("PersistentVolumeClaim", "persistentvolumeclaims", short_names=("pvc",), status=True),
    Kind("PersistentVolume", "persistentvolumes", namespaced=False, short_names=("pv",), status=True),
    Kind("EndpointSlice", "endpointslices", "discovery.k8s.io"),
    Kind("RuntimeClass", "runtimeclasses", "node.k8s.io", namespaced=False),
    Kind("PriorityClass", "priorityclasses", "scheduling.k8s.io", namespaced=False, short_names=("pc",)),
    Kind("StorageClass", "storageclasses", "storage.k8s.io", namespaced=False, short_names=("sc",)),
)
BY_RESOURCE: Final = {kind.resource: kind for kind in KINDS}


def field_value(kind: Kind, body: Body, path: str) -> str:
    """Return the value that a field selector compares: text, with the kind's stand-in for an absent one."""
    node: Any = body
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    if node is None:
        return kind.fields.get(path, "")
    return str(node).lower() if isinstance(node, bool) else str(node)
