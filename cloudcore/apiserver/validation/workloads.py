"""Rules of Deployments and ReplicaSets.

Source: Kubernetes ``ValidateDeployment``, ``ValidateReplicaSet``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, not_supported, one_of, required
from cloudcore.apiserver.validation.pods import check_pod_template
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.selectors import label_selector, matches

_STRATEGIES: Final = frozenset({"Recreate", "RollingUpdate"})
_PERCENT: Final = re.compile(r"[0-9]+%")
_NEGATIVE: Final = "must be greater than or equal to 0"
IMMUTABLE: Final = "field is immutable"


def check_deployment(body: Body) -> list[Cause]:
    """Return what is wrong with a Deployment."""
    spec = body["spec"]
    causes = check_workload(spec)
    causes += check_counts(spec, "revisionHistoryLimit", "progressDeadlineSeconds")
    causes += _check_strategy("spec.strategy", spec.get("strategy") or {})
    deadline_s, ready_s = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline_s is not None and deadline_s <= ready_s:
        causes.append(invalid("spec.progressDeadlineSeconds", deadline_s, "must be greater than minReadySeconds"))
    return causes


def check_replicaset(body: Body) -> list[Cause]:
    """Return what is wrong with a ReplicaSet."""
    return check_workload(body["spec"])


def check_selector_kept(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed workload: its selector is immutable."""
    selector, before = body["spec"].get("selector"), old["spec"].get("selector")
    return [] if selector == before else [invalid("spec.selector", selector, IMMUTABLE)]


def check_workload(spec: Body, check_template: Callable[[Body], list[Cause]] | None = None) -> list[Cause]:
    """Return what is wrong with counts, selector and template of what keeps pods by a label selector.

    Args:
        spec: The workload's spec.
        check_template: Rules of its template, where those are not of pods that are restarted always.
    """
    check_template = check_template or check_long_running_template
    causes = check_counts(spec, "replicas", "minReadySeconds")
    selector, template = spec.get("selector") or {}, spec.get("template") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(invalid("spec.selector", selector, "empty selector is invalid for deployment"))
        return causes + check_template(template)
    wrong = check_label_selector("spec.selector", selector)
    if not wrong:
        labels = (template.get("metadata") or {}).get("labels") or {}
        if not matches(label_selector(selector), labels):
            wrong = [invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")]
    return causes + wrong + check_template(template)


def check_long_running_template(template: Body) -> list[Cause]:
    """Return what is wrong with a template whose pods are restarted always."""
    return check_pod_template("spec.template", template) + check_restarts(template, "ReplicaSet")


def check_restarts(template: Body, kind: str) -> list[Cause]:
    """Return what would keep a template's pods from being restarted always; ``kind`` is named in the message."""
    causes, pod = [], template.get("spec") or {}
    policy = pod.get("restartPolicy")
    if policy in {"OnFailure", "Never"}:
        causes.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        causes.append(
            forbidden("spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")
        )
    return causes


def check_counts(spec: Body, *names: str) -> list[Cause]:
    """Return what is wrong with fields of a spec that count something: none may be negative."""
    return [invalid(f"spec.{name}", spec[name], _NEGATIVE) for name in names if spec.get(name, 0) < 0]


def _check_strategy(path: str, strategy: Body) -> list[Cause]:
    causes = one_of(f"{path}.type", strategy.get("type"), _STRATEGIES)
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(forbidden(f"{path}.rollingUpdate", why))
    elif strategy.get("type") == "RollingUpdate":
        if rolling is None:
            return [*causes, required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")]
        below = f"{path}.rollingUpdate"
        unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        causes += check_share(f"{below}.maxUnavailable", unavailable, at_most_all=True)
        causes += check_share(f"{below}.maxSurge", surge)
        if _is_zero(unavailable) and _is_zero(surge):
            detail = "may not be 0 when `maxSurge` is 0"
            causes.append(invalid(f"{below}.maxUnavailable", unavailable, detail))
    return causes


def check_share(path: str, share: Any, *, at_most_all: bool = False) -> list[Cause]:
    """Return what is wrong with a number or a percentage."""
    if isinstance(share, int):
        return [invalid(path, share, _NEGATIVE)] if share < 0 else []
    if not _PERCENT.fullmatch(share):
        detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%')"
        return [invalid(path, share, detail)]
    return [invalid(path, share, "must not be greater than 100%")] if at_most_all and int(share[:-1]) > 100 else []


def _is_zero(share: Any) -> bool:
    return share in {0, "0%"}
