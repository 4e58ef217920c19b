"""``kubectl get`` of what bounds a namespace, of disruption budgets, and of kinds that show when they were made."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer
from protocol.objects.keys import Body

_CREATED_AT = Column("Created At", "date", description="When the object was created.")


@printer("limitranges", NAME, _CREATED_AT)
@printer("roles.rbac.authorization.k8s.io", NAME, _CREATED_AT)
@printer("clusterroles.rbac.authorization.k8s.io", NAME, _CREATED_AT)
def created_at_cells(body: Body, now: float) -> Cells:
    """Return the row of a kind that has no columns of its own."""
    del now
    metadata = body["metadata"]
    return [metadata["name"], metadata.get("creationTimestamp", "")]


@printer("resourcequotas", NAME, Column("Request"), Column("Limit"), AGE)
def quota_cells(body: Body, now: float) -> Cells:
    """Return a ResourceQuota's row."""
    hard, used = at(body, "status", "hard") or {}, at(body, "status", "used") or {}
    amounts = [(name, f"{name}: {used.get(name, 0)}/{hard[name]}") for name in sorted(hard)]
    requests = ", ".join(text for name, text in amounts if "limits" not in name)
    limits = ", ".join(text for name, text in amounts if "limits" in name)
    return [body["metadata"]["name"], requests, limits, created(body, now)]


@printer(
    "poddisruptionbudgets.policy", NAME, Column("Min Available"), Column("Max Unavailable"),
    Column("Allowed Disruptions", "integer"), AGE,
)  # fmt: skip
def disruption_budget_cells(body: Body, now: float) -> Cells:
    """Return a PodDisruptionBudget's row."""
    least, most = at(body, "spec", "minAvailable"), at(body, "spec", "maxUnavailable")
    return [
        body["metadata"]["name"],
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        at(body, "status", "disruptionsAllowed") or 0,
        created(body, now),
    ]
