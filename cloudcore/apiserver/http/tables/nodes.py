"""``kubectl get nodes``."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, joined, printer, wide
from protocol.objects.keys import Body

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"


@printer(
    "nodes",
    NAME,
    Column("Status"),
    Column("Roles"),
    AGE,
    Column("Version"),
    wide("Internal-IP"),
    wide("External-IP"),
    wide("OS-Image"),
    wide("Kernel-Version"),
    wide("Container-Runtime"),
)
def node_cells(node: Body, now: float) -> Cells:
    """Return a Node's row."""
    info = at(node, "status", "nodeInfo") or {}
    return [
        node["metadata"]["name"],
        _status(node),
        _roles(node),
        created(node, now),
        info.get("kubeletVersion", ""),
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _status(node: Body) -> str:
    ready = next((c for c in at(node, "status", "conditions") or () if c.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if at(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Body) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {label.removeprefix(_ROLE_PREFIX) for label in labels if label.startswith(_ROLE_PREFIX)} - {""}
    if labels.get(_ROLE_LABEL):
        roles.add(labels[_ROLE_LABEL])
    return joined(sorted(roles))


def _address(node: Body, kind: str) -> str:
    addresses = at(node, "status", "addresses") or ()
    return next((a.get("address", "") for a in addresses if a.get("type") == kind), "<none>")
