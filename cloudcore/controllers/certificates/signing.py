"""Signs approved certificate requests of the signer ``kubernetes.io/kube-apiserver-client``.

Requests of Kubernetes' other signers are marked as failed: a device gets its certificate when it is enrolled
(``edgecore join``), which pins it, and no other certificate of a node would be let in. Signers of other domains are
left to whoever runs them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import NotFound
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.clientrequests import RequestRefused, sign_client_request
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.times import timestamp

REQUESTS = "certificatesigningrequests.certificates.k8s.io"
CLIENT = "kubernetes.io/kube-apiserver-client"
_OURS = "kubernetes.io/"
_DONE = frozenset({"Denied", "Failed"})


def is_due(request: Body) -> bool:
    """Tell whether a request waits for one of Kubernetes' signers: approved, neither signed nor failed."""
    status = request.get("status") or {}
    kinds = {condition.get("type") for condition in status.get("conditions") or ()}
    ours = str(request["spec"].get("signerName", "")).startswith(_OURS)
    return ours and "Approved" in kinds and not kinds & _DONE and not status.get("certificate")


class CertificateSigningController:
    """Reconciles certificate requests; keys are theirs.

    Args:
        context: What controllers work with.
        authority: Signs.
    """

    name = "certificate-signing"
    workers = 1

    def __init__(self, context: Context, authority: CertificateAuthority) -> None:
        self._client = context.client
        self._clock = context.clock
        self._authority = authority
        self._requests = context.informers.for_resource(REQUESTS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow certificate requests."""
        return (Watching(REQUESTS, own_keys(REQUESTS)),)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Sign the request, or say why not."""
        request = self._requests.get(key)
        if request is None or is_deleting(request) or not is_due(request):
            return DONE
        try:
            status: Body = {"certificate": self._signed(request["spec"])}
        except RequestRefused as refused:
            status = {"conditions": [*request["status"]["conditions"], self._failure(str(refused))]}
        body = {**request, "status": {**request["status"], **status}}
        try:
            await self._client.update(REQUESTS, body, subresource="status")
        except NotFound:
            return DONE
        return DONE

    def _signed(self, spec: Body) -> str:
        if spec["signerName"] != CLIENT:
            raise RequestRefused(
                f"{spec['signerName']} is not served by this cloud: devices get their certificates when they join"
            )
        pem = sign_client_request(
            self._authority,
            base64.b64decode(spec["request"]),
            usages=spec.get("usages") or (),
            lifetime_s=spec.get("expirationSeconds"),
            now=self._clock.wall(),
        )
        return base64.b64encode(pem).decode("ascii")

    def _failure(self, why: str) -> Body:
        now = timestamp(self._clock.wall())
        return {
            "type": "Failed",
            "status": "True",
            "reason": "SignerValidationFailure",
            "message": why,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }
