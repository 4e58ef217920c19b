"""Rows of the ``apiregistration.k8s.io`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.admission import default_api_service
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.admission import check_api_service

_GROUP: Final = "apiregistration.k8s.io"

ROWS: Final = (
    Kind(
        kind="APIService",
        plural="apiservices",
        group=_GROUP,
        schema="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
        namespaced=False,
        categories=("api-extensions",),
        subresources=(status_of("APIService", _GROUP),),
        status=True,
        first_status={},
        inert="this server passes no requests on to other API servers: the APIService is only stored",
        defaults=default_api_service,
        validate=check_api_service,
    ),
)
