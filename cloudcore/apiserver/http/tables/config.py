"""``kubectl get`` of the kinds pods take their settings and identity from."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, created, printer
from protocol.objects.keys import Body


@printer("configmaps", NAME, Column("Data", "integer"), AGE)
def configmap_cells(body: Body, now: float) -> Cells:
    """Return a ConfigMap's row."""
    entries = len(body.get("data") or ()) + len(body.get("binaryData") or ())
    return [body["metadata"]["name"], entries, created(body, now)]


@printer("secrets", NAME, Column("Type"), Column("Data", "integer"), AGE)
def secret_cells(body: Body, now: float) -> Cells:
    """Return a Secret's row; its values never show."""
    return [body["metadata"]["name"], body.get("type", "Opaque"), len(body.get("data") or ()), created(body, now)]


@printer("serviceaccounts", NAME, Column("Secrets", "integer"), AGE)
def serviceaccount_cells(body: Body, now: float) -> Cells:
    """Return a ServiceAccount's row."""
    return [body["metadata"]["name"], len(body.get("secrets") or ()), created(body, now)]
