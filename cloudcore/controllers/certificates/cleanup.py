"""Removes certificate requests that are done with, as long after as Kubernetes does.

Source: Kubernetes ``pkg/controller/certificates/cleaner``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography import x509

from cloudcore.controllers.certificates.signing import REQUESTS
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import NotFound
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.times import parse_timestamp

JUDGED_S = 3_600.0
"""A request that was approved, denied or failed stays so long, to be looked at."""
PENDING_S = 24 * 3_600.0
_JUDGEMENTS = frozenset({"Approved", "Denied", "Failed"})


def ends_at(request: Body) -> float:
    """Return when a request is to be removed, seconds since the epoch."""
    status = request.get("status") or {}
    ends = [parse_timestamp(request["metadata"]["creationTimestamp"]) + PENDING_S]
    judged = [each for each in status.get("conditions") or () if each.get("type") in _JUDGEMENTS]
    if judged:
        times = [each.get("lastUpdateTime") or request["metadata"]["creationTimestamp"] for each in judged]
        ends = [parse_timestamp(time) + JUDGED_S for time in times]
    expiry = _expiry(status.get("certificate"))
    return min(ends) if expiry is None else min(*ends, expiry)


def _expiry(certificate: str | None) -> float | None:
    if not certificate:
        return None
    try:
        return x509.load_pem_x509_certificate(base64.b64decode(certificate)).not_valid_after_utc.timestamp()
    except ValueError:
        return None


class CertificateCleanupController:
    """Reconciles certificate requests; keys are theirs."""

    name = "certificate-cleanup"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._requests = context.informers.for_resource(REQUESTS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow certificate requests."""
        return (Watching(REQUESTS, own_keys(REQUESTS)),)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Remove the request, or come back when it is time."""
        request = self._requests.get(key)
        if request is None or is_deleting(request):
            return DONE
        left = ends_at(request) - self._clock.wall()
        if left > 0:
            return RequeueAfter(left)
        try:
            await self._client.delete(*key, uid=Uid(request["metadata"]["uid"]))
        except NotFound:
            return DONE
        return DONE
