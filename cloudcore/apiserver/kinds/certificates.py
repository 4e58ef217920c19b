"""Rows of the ``certificates.k8s.io`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.kinds import strategies
from cloudcore.apiserver.kinds.kind import Kind, Subresource, status_of
from cloudcore.apiserver.validation.certificates import check_request, check_request_status

_KIND: Final = "CertificateSigningRequest"
_GROUP: Final = "certificates.k8s.io"

ROWS: Final = (
    Kind(
        kind=_KIND,
        plural="certificatesigningrequests",
        group=_GROUP,
        schema=f"io.k8s.api.certificates.v1.{_KIND}",
        namespaced=False,
        short_names=("csr",),
        subresources=(status_of(_KIND, _GROUP), Subresource(name="approval", kind=_KIND, group=_GROUP)),
        fields={"spec.signerName": ""},
        status=True,
        first_status={},
        prepare_update=strategies.changed_certificate_request,
        validate=check_request,
        validate_status=check_request_status,
    ),
)
