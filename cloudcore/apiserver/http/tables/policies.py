"""``kubectl get`` of admission policies and of APIServices."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer
from cloudcore.apiserver.http.tables.workloads import selector_text
from protocol.objects.keys import Body

_UNSET = "<unset>"


@printer(
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    NAME,
    Column("Validations", "integer"),
    Column("ParamKind"),
    AGE,
)
def policy_cells(body: Body, now: float) -> Cells:
    """Return a ValidatingAdmissionPolicy's row."""
    kind = at(body, "spec", "paramKind")
    shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else _UNSET
    return [body["metadata"]["name"], len(at(body, "spec", "validations") or ()), shown, created(body, now)]


@printer(
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    NAME,
    Column("PolicyName"),
    Column("ParamRef"),
    AGE,
)
def binding_cells(body: Body, now: float) -> Cells:
    """Return a ValidatingAdmissionPolicyBinding's row."""
    name, policy = body["metadata"]["name"], at(body, "spec", "policyName") or ""
    return [name, policy, _parameters(at(body, "spec", "paramRef") or {}), created(body, now)]


def _parameters(reference: Body) -> str:
    if reference.get("name"):
        return "/".join(part for part in (reference.get("namespace"), reference["name"]) if part)
    return selector_text(reference["selector"]) if reference.get("selector") else _UNSET


@printer("apiservices.apiregistration.k8s.io", NAME, Column("Service"), Column("Available"), AGE)
def api_service_cells(body: Body, now: float) -> Cells:
    """Return an APIService's row."""
    service = at(body, "spec", "service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    return [body["metadata"]["name"], where, _availability(body), created(body, now)]


def _availability(body: Body) -> str:
    for condition in at(body, "status", "conditions") or ():
        if condition.get("type") == "Available":
            status = str(condition.get("status", ""))
            return status if status == "True" else f"{status} ({condition.get('reason', '')})"
    return "Unknown"
