"""Rules of CertificateSigningRequests.

Source: Kubernetes ``pkg/apis/certificates/validation``.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cloudcore.apiserver.validation.fields import duplicate, invalid, not_supported, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_USAGES: Final = frozenset(
    {
        "any",
        "cert sign",
        "client auth",
        "code signing",
        "content commitment",
        "crl sign",
        "data encipherment",
        "decipher only",
        "digital signature",
        "email protection",
        "encipher only",
        "ipsec end system",
        "ipsec tunnel",
        "ipsec user",
        "key agreement",
        "key encipherment",
        "microsoft sgc",
        "netscape sgc",
        "ocsp signing",
        "s/mime",
        "server auth",
        "signing",
        "timestamping",
    }
)
_SHORTEST_S: Final = 600
_RETIRED_SIGNER: Final = "kubernetes.io/legacy-unknown"
_LASTING: Final = frozenset({"Approved", "Denied", "Failed"})


def check_request(body: Body) -> list[Cause]:
    """Return what is wrong with a CertificateSigningRequest."""
    spec = body.get("spec") or {}
    causes = _check_pem(spec.get("request", ""))
    signer = spec.get("signerName", "")
    domain, slash, rest = signer.partition("/")
    if not signer:
        causes.append(required("spec.signerName"))
    elif signer == _RETIRED_SIGNER:
        causes.append(invalid("spec.signerName", signer, "the legacy signer is not allowed via this API version"))
    elif not slash or not rest or "." not in domain or check_name("subdomain", "", domain):
        why = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        causes.append(invalid("spec.signerName", signer, why))
    causes += _check_usages(spec.get("usages") or [])
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST_S:
        causes.append(
            invalid(
                "spec.expirationSeconds",
                seconds,
                f"may not specify a duration less than {_SHORTEST_S} seconds (10 minutes)",
            )
        )
    return causes + _check_conditions(body)


def _check_pem(request: str) -> list[Cause]:
    try:
        pem = base64.b64decode(request, validate=True)
    except (binascii.Error, ValueError):
        pem = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" in pem or b"-----BEGIN NEW CERTIFICATE REQUEST-----" in pem:
        return []
    return [invalid("spec.request", request, "PEM block type must be CERTIFICATE REQUEST")]


def _check_usages(usages: list[str]) -> list[Cause]:
    if not usages:
        return [required("spec.usages", "usages must be specified")]
    causes = []
    for index, usage in enumerate(usages):
        path = f"spec.usages[{index}]"
        if usage not in _USAGES:
            causes.append(not_supported(path, usage, _USAGES))
        elif usage in usages[:index]:
            causes.append(duplicate(path, usage))
    return causes


def _check_conditions(body: Body) -> list[Cause]:
    kinds = {condition.get("type") for condition in (body.get("status") or {}).get("conditions") or ()}
    if {"Approved", "Denied"} <= kinds:
        why = "Approved and Denied conditions are mutually exclusive"
        return [invalid("status.conditions", "Denied", why)]
    return []


def check_request_status(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed status: a judgement stays, and so does a certificate."""
    status, before = body.get("status") or {}, old.get("status") or {}
    causes = _check_conditions(body)
    present = {condition.get("type") for condition in status.get("conditions") or ()}
    for index, condition in enumerate(status.get("conditions") or ()):
        path, kind = f"status.conditions[{index}]", condition.get("type")
        if kind in _LASTING and condition.get("status") != "True":
            causes.append(not_supported(f"{path}.status", condition.get("status"), ("True",)))
    for condition in before.get("conditions") or ():
        if condition.get("type") in _LASTING - present:
            why = f'updates may not remove a condition of type "{condition["type"]}"'
            causes.append(Cause("FieldValueForbidden", f"Forbidden: {why}", "status.conditions"))
    if before.get("certificate") and status.get("certificate") != before["certificate"]:
        causes.append(Cause("FieldValueForbidden", "Forbidden: updates may not change it", "status.certificate"))
    return causes
