"""Admission: a certificate request says who made it, in words the client has no say in."""

from __future__ import annotations

from cloudcore.apiserver.admission.chain import Admission, Operation


class Requester:
    """Writes the user into each new CertificateSigningRequest: approvers go by it."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of certificate requests."""
        wanted = resource == "certificatesigningrequests.certificates.k8s.io"
        return wanted and operation is Operation.CREATE and not subresource

    async def admit(self, admission: Admission) -> None:
        """Set the user and its groups, and drop whatever the client gave for them."""
        spec = admission.body["spec"]
        for name in ("extra", "uid"):
            spec.pop(name, None)
        spec["username"] = admission.context.user
        spec["groups"] = list(admission.context.groups)
