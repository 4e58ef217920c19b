"""``kubectl get`` of role bindings, certificate requests and webhook configurations."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.durations import human_duration
from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer, wide
from protocol.objects.keys import Body

_BINDING = (NAME, Column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts"))


@printer("rolebindings.rbac.authorization.k8s.io", *_BINDING)
@printer("clusterrolebindings.rbac.authorization.k8s.io", *_BINDING)
def binding_cells(body: Body, now: float) -> Cells:
    """Return the row of a role binding."""
    subjects = body.get("subjects") or ()
    named = {
        kind: ", ".join(each.get("name", "") for each in subjects if each.get("kind") == kind)
        for kind in ("User", "Group")
    }
    accounts = (each for each in subjects if each.get("kind") == "ServiceAccount")
    return [
        body["metadata"]["name"],
        f"{at(body, 'roleRef', 'kind')}/{at(body, 'roleRef', 'name')}",
        created(body, now),
        named["User"],
        named["Group"],
        ", ".join(f"{each.get('namespace', '')}/{each.get('name', '')}" for each in accounts),
    ]


@printer(
    "certificatesigningrequests.certificates.k8s.io", NAME, AGE, Column("SignerName"), Column("Requestor"),
    Column("RequestedDuration"), Column("Condition"),
)  # fmt: skip
def certificate_request_cells(body: Body, now: float) -> Cells:
    """Return a CertificateSigningRequest's row."""
    seconds = at(body, "spec", "expirationSeconds")
    return [
        body["metadata"]["name"],
        created(body, now),
        at(body, "spec", "signerName") or "<none>",
        at(body, "spec", "username") or "",
        "<none>" if seconds is None else human_duration(seconds),
        _condition(body),
    ]


def _condition(body: Body) -> str:
    kinds = {each.get("type") for each in at(body, "status", "conditions") or ()}
    words = ["Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"]
    if "Failed" in kinds:
        words.append("Failed")
    if at(body, "status", "certificate"):
        words.append("Issued")
    return ",".join(words)


@printer("validatingwebhookconfigurations.admissionregistration.k8s.io", NAME, Column("Webhooks", "integer"), AGE)
@printer("mutatingwebhookconfigurations.admissionregistration.k8s.io", NAME, Column("Webhooks", "integer"), AGE)
def webhook_cells(body: Body, now: float) -> Cells:
    """Return a webhook configuration's row."""
    return [body["metadata"]["name"], len(body.get("webhooks") or ()), created(body, now)]
