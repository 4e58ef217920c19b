"""Admission of certificate requests: who made one, who may approve it, who may sign it.

Source: Kubernetes ``plugin/pkg/admission/certificates``.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.http.authn import MASTERS
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.rbac.rights import Rights
from protocol.objects.keys import Body

REQUESTS: Final = "certificatesigningrequests.certificates.k8s.io"
GROUP: Final = "certificates.k8s.io"
CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client"
JUDGEMENTS: Final = frozenset({"Approved", "Denied"})


class Requester:
    """Writes the user into each new CertificateSigningRequest: approvers go by it."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of certificate requests."""
        return resource == REQUESTS and operation is Operation.CREATE and not subresource

    async def admit(self, admission: Admission) -> None:
        """Set the user and its groups, and drop whatever the client gave for them."""
        spec, context = admission.body["spec"], admission.context
        for name in ("extra", "uid"):
            spec.pop(name, None)
        spec["username"] = context.user
        spec["groups"] = list(context.groups)
        if context.uid:
            spec["uid"] = context.uid
        if context.extra:
            spec["extra"] = {name: list(values) for name, values in context.extra.items()}


class CertificateSubject:
    """Refuses requests for certificates that would make their holders administrators for good."""

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of certificate requests."""
        return resource == REQUESTS and operation is Operation.CREATE and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse the group ``system:masters``.

        Raises:
            Forbidden: The request is for it.
        """
        spec, target = admission.body["spec"], admission.target
        if spec.get("signerName") == CLIENT_SIGNER and MASTERS in _organizations(spec.get("request", "")):
            why = f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
            raise failures.forbidden(target.kind, target.name, why)


class ConditionTimes:
    """Gives the conditions of a certificate request the times that their author left out."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in approvals and in changes of the status."""
        return resource == REQUESTS and operation is Operation.UPDATE and subresource in ("approval", "status")

    async def admit(self, admission: Admission) -> None:
        """Set when a condition was updated, and when it became what it is."""
        before = {each.get("type"): each for each in _conditions(admission.old)}
        for condition in _conditions(admission.body):
            known = before.get(condition.get("type"))
            if known is None and admission.now:
                condition["lastUpdateTime"] = condition.get("lastUpdateTime") or admission.now
                condition["lastTransitionTime"] = condition.get("lastTransitionTime") or admission.now
            elif known is not None and known.get("lastTransitionTime"):
                condition.setdefault("lastTransitionTime", known["lastTransitionTime"])


class CertificateRights:
    """Lets only those approve and sign who may, for the signer that a request names.

    Args:
        rights: The rights of whoever writes.
    """

    validating = True

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in approvals and in changes of the status."""
        return resource == REQUESTS and operation is Operation.UPDATE and subresource in ("approval", "status")

    async def admit(self, admission: Admission) -> None:
        """Ask for the verb ``approve`` or ``sign`` on the signer, or on all of its domain.

        Raises:
            Forbidden: The writer has neither, or approves by way of the status.
        """
        target, old = admission.target, admission.old or {}
        approves = target.subresource == "approval"
        if not approves:
            before, after = _status(old), _status(admission.body)
            if _judged(before) != _judged(after):
                why = "Approved and Denied are set by the approval subresource"
                raise failures.forbidden(target.kind, target.name, why)
            if before.get("certificate") == after.get("certificate") and before == after:
                return
        verb, doing = ("approve", "approve") if approves else ("sign", "sign")
        signer = old["spec"]["signerName"]
        domain = f"{signer.partition('/')[0]}/*"
        asked = (Attributes(verb, "signers", GROUP, name=name) for name in (signer, domain))
        if not any(self._rights.allows(admission.context, each) for each in asked):
            why = f'user not permitted to {doing} requests with signerName "{signer}"'
            raise failures.forbidden(target.kind, target.name, why)


def _conditions(body: Body | None) -> list[Body]:
    conditions = _status(body or {}).get("conditions") or []
    return [each for each in conditions if isinstance(each, dict)]


def _status(body: Body) -> Body:
    status: Body = body.get("status") or {}
    return status


def _judged(status: Body) -> frozenset[str]:
    return frozenset(each.get("type", "") for each in status.get("conditions") or ()) & JUDGEMENTS


def _organizations(request: str) -> list[str]:
    try:
        subject = x509.load_pem_x509_csr(base64.b64decode(request)).subject
    except ValueError:
        return []  # what cannot be read is not signed either
    return [str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
