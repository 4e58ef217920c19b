"""Rules of pods and pod templates.

Source: Kubernetes ``ValidatePodSpec``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver.validation.containers import check_containers
from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_labels, check_name
from cloudcore.apiserver.validation.placement import check_placement
from cloudcore.apiserver.validation.scheduling import check_affinity, check_tolerations
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_RESTART_POLICIES: Final = frozenset({"Always", "OnFailure", "Never"})
_DNS_POLICIES: Final = frozenset({"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"})
_HOST_PATH_TYPES: Final = frozenset(
    {"", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"}
)
_PREEMPTION: Final = frozenset({"PreemptLowerPriority", "Never"})


def check_pod(body: Body) -> list[Cause]:
    """Return what is wrong with a Pod."""
    return check_placement("metadata", body.get("metadata") or {}) + check_pod_spec("spec", body.get("spec") or {})


def check_pod_template(path: str, template: Body) -> list[Cause]:
    """Return what is wrong with a pod template."""
    metadata = template.get("metadata") or {}
    labels = metadata.get("labels")
    causes = check_labels(f"{path}.metadata.labels", labels) if labels else []
    causes += check_placement(f"{path}.metadata", metadata)
    return causes + check_pod_spec(f"{path}.spec", template.get("spec") or {})


def check_pod_spec(path: str, spec: Body) -> list[Cause]:
    """Return what is wrong with a PodSpec."""
    volumes = spec.get("volumes") or []
    causes = _check_volumes(f"{path}.volumes", volumes) if volumes else []
    causes += check_containers(path, spec, {volume.get("name", "") for volume in volumes})
    causes += one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES)
    causes += one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    causes += _check_numbers(path, spec)
    if spec.get("nodeSelector"):
        causes += check_labels(f"{path}.nodeSelector", spec["nodeSelector"])
    if spec.get("tolerations"):
        causes += check_tolerations(f"{path}.tolerations", spec["tolerations"])
    if spec.get("affinity"):
        causes += check_affinity(f"{path}.affinity", spec["affinity"])
    for name, rule in (("serviceAccountName", "subdomain"), ("nodeName", "subdomain"), ("hostname", "label")):
        if spec.get(name):
            causes += check_name(rule, f"{path}.{name}", spec[name])
    if spec.get("preemptionPolicy"):
        causes += one_of(f"{path}.preemptionPolicy", spec["preemptionPolicy"], _PREEMPTION)
    return causes


def _check_numbers(path: str, spec: Body) -> list[Cause]:
    causes = []
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        causes.append(
            invalid(
                f"{path}.terminationGracePeriodSeconds",
                spec["terminationGracePeriodSeconds"],
                "must be greater than or equal to 0",
            )
        )
    deadline_s = spec.get("activeDeadlineSeconds")
    if deadline_s is not None and not 1 <= deadline_s <= 2**31 - 1:
        causes.append(
            invalid(f"{path}.activeDeadlineSeconds", deadline_s, "must be between 1 and 2147483647, inclusive")
        )
    return causes


def _check_volumes(path: str, volumes: list[Body]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        below, name = f"{path}[{index}]", volume.get("name", "")
        if not name:
            causes.append(required(f"{below}.name"))
        else:
            causes += check_name("label", f"{below}.name", name)
        if name in seen:
            causes.append(duplicate(f"{below}.name", name))
        seen.add(name)
        causes += _check_source(below, volume)
    return causes


def _check_source(path: str, volume: Body) -> list[Cause]:
    sources = [name for name in volume if name != "name"]
    if len(sources) > 1:
        return [forbidden(f"{path}.{sources[1]}", "may not specify more than 1 volume type")]
    source = sources[0] if sources else ""
    body: dict[str, Any] = volume.get(source) or {}
    needed = {"hostPath": "path", "secret": "secretName", "configMap": "name", "persistentVolumeClaim": "claimName"}
    if source in needed and not body.get(needed[source]):
        return [required(f"{path}.{source}.{needed[source]}")]
    if ".." in str(body.get("path", "")).split("/"):
        return [invalid(f"{path}.{source}.path", body["path"], "must not contain '..'")]
    if source == "hostPath" and body.get("type", "") not in _HOST_PATH_TYPES:
        return one_of(f"{path}.{source}.type", body["type"], _HOST_PATH_TYPES)
    causes = []
    for index, item in enumerate(body.get("items") or ()):
        target = str(item.get("path", ""))
        if target.startswith("/") or ".." in target.split("/"):
            where = f"{path}.{source}.items[{index}].path"
            causes.append(invalid(where, target, "must be a relative path and not contain '..'"))
    return causes
