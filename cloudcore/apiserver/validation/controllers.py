"""Rules of DaemonSets, StatefulSets, ReplicationControllers, PodTemplates and ControllerRevisions.

Source: Kubernetes ``pkg/apis/apps/validation``, ``pkg/apis/core/validation``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_labels
from cloudcore.apiserver.validation.pods import check_pod_template
from cloudcore.apiserver.validation.storage import check_claim
from cloudcore.apiserver.validation.workloads import (
    IMMUTABLE,
    check_counts,
    check_long_running_template,
    check_restarts,
    check_share,
    check_workload,
)
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_UPDATE_STRATEGIES: Final = frozenset({"OnDelete", "RollingUpdate"})
_POD_MANAGEMENT: Final = frozenset({"OrderedReady", "Parallel"})
_RETENTION: Final = frozenset({"Delete", "Retain"})
_CHANGEABLE: Final = frozenset(
    {
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "replicas",
        "revisionHistoryLimit",
        "template",
        "updateStrategy",
    }
)


def check_daemonset(body: Body) -> list[Cause]:
    """Return what is wrong with a DaemonSet."""
    spec = body["spec"]
    causes = check_workload(spec) + check_counts(spec, "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    causes += one_of("spec.updateStrategy.type", strategy.get("type"), _UPDATE_STRATEGIES)
    if strategy.get("type") != "RollingUpdate":
        return causes
    rolling, below = strategy.get("rollingUpdate") or {}, "spec.updateStrategy.rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    causes += check_share(f"{below}.maxUnavailable", unavailable, at_most_all=True)
    causes += check_share(f"{below}.maxSurge", surge, at_most_all=True)
    none_unavailable, no_surge = unavailable in {0, "0%"}, surge in {0, "0%"}
    if none_unavailable and no_surge:
        causes.append(required(f"{below}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    elif not none_unavailable and not no_surge:
        causes.append(invalid(f"{below}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    return causes


def check_statefulset(body: Body) -> list[Cause]:
    """Return what is wrong with a StatefulSet."""
    spec = body["spec"]
    causes = check_workload(spec, _check_claiming_template) + check_counts(spec, "revisionHistoryLimit")
    causes += one_of("spec.podManagementPolicy", spec.get("podManagementPolicy"), _POD_MANAGEMENT)
    strategy = spec.get("updateStrategy") or {}
    causes += one_of("spec.updateStrategy.type", strategy.get("type"), _UPDATE_STRATEGIES)
    if strategy.get("type") == "RollingUpdate":
        causes += _check_rolling("spec.updateStrategy.rollingUpdate", strategy.get("rollingUpdate") or {})
    elif strategy.get("rollingUpdate") is not None:
        why = "only allowed for updateStrategy 'RollingUpdate'"
        causes.append(invalid("spec.updateStrategy.rollingUpdate", strategy["rollingUpdate"], why))
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for name in ("whenDeleted", "whenScaled"):
        causes += one_of(f"spec.persistentVolumeClaimRetentionPolicy.{name}", retention.get(name), _RETENTION)
    start = (spec.get("ordinals") or {}).get("start", 0)
    if start < 0:
        causes.append(invalid("spec.ordinals.start", start, "must be greater than or equal to 0"))
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        causes += check_claim(claim, path=f"spec.volumeClaimTemplates[{index}].spec")
    return causes


def _check_claiming_template(template: Body) -> list[Cause]:
    """Return what is wrong with a StatefulSet's template.

    As in Kubernetes its pods' specs are judged when they are made: some of their volumes come from claim templates.
    """
    labels = (template.get("metadata") or {}).get("labels") or {}
    return check_labels("spec.template.metadata.labels", labels) + check_restarts(template, "StatefulSet")


def check_statefulset_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed StatefulSet: most of its spec is fixed."""
    if _fixed(body["spec"]) == _fixed(old["spec"]):
        return []
    why = (
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
        "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    )
    return [forbidden("spec", why)]


def _fixed(spec: Body) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in _CHANGEABLE}


def _check_rolling(path: str, rolling: Body) -> list[Cause]:
    partition = rolling.get("partition", 0)
    causes = []
    if partition < 0:
        causes.append(invalid(f"{path}.partition", partition, "must be greater than or equal to 0"))
    if "maxUnavailable" in rolling:
        causes += check_share(f"{path}.maxUnavailable", rolling["maxUnavailable"], at_most_all=True)
        if rolling["maxUnavailable"] in {0, "0%"}:
            causes.append(invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "cannot be 0"))
    return causes


def check_replication_controller(body: Body) -> list[Cause]:
    """Return what is wrong with a ReplicationController."""
    spec = body["spec"]
    causes = check_counts(spec, "replicas", "minReadySeconds")
    selector, template = spec.get("selector") or {}, spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector:
        causes.append(required("spec.selector"))
    else:
        causes += check_labels("spec.selector", selector)
        if not selector.items() <= labels.items():
            why = "`selector` does not match template `labels`"
            causes.append(invalid("spec.template.metadata.labels", labels, why))
    return causes + check_long_running_template(template)


def check_podtemplate(body: Body) -> list[Cause]:
    """Return what is wrong with a PodTemplate."""
    return check_pod_template("template", body.get("template") or {})


def check_controller_revision(body: Body) -> list[Cause]:
    """Return what is wrong with a ControllerRevision."""
    revision = body.get("revision", 0)
    causes = [] if body.get("data") is not None else [required("data", "data is mandatory")]
    if revision < 0:
        causes.append(invalid("revision", revision, "must be greater than or equal to 0"))
    return causes


def check_controller_revision_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed ControllerRevision: its data is immutable."""
    return [] if body.get("data") == old.get("data") else [invalid("data", body.get("data"), IMMUTABLE)]
