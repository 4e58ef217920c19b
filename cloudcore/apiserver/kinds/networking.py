"""Rows of the ``networking.k8s.io`` and ``discovery.k8s.io`` groups."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.policies import default_endpoint_slice, default_ingress_class, default_network_policy
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.networking import (
    check_endpoint_slice,
    check_endpoint_slice_update,
    check_ingress,
    check_ingress_class,
    check_ingress_class_update,
    check_network_policy,
)

_SCHEMA: Final = "io.k8s.api.networking.v1."
_GROUP: Final = "networking.k8s.io"

ROWS: Final = (
    Kind(
        kind="EndpointSlice",
        plural="endpointslices",
        group="discovery.k8s.io",
        schema="io.k8s.api.discovery.v1.EndpointSlice",
        generation=True,
        defaults=default_endpoint_slice,
        validate=check_endpoint_slice,
        validate_update=check_endpoint_slice_update,
    ),
    Kind(
        kind="Ingress",
        plural="ingresses",
        group=_GROUP,
        schema=_SCHEMA + "Ingress",
        short_names=("ing",),
        subresources=(status_of("Ingress", _GROUP),),
        status=True,
        first_status={"loadBalancer": {}},
        generation=True,
        validate=check_ingress,
    ),
    Kind(
        kind="IngressClass",
        plural="ingressclasses",
        group=_GROUP,
        schema=_SCHEMA + "IngressClass",
        namespaced=False,
        generation=True,
        defaults=default_ingress_class,
        validate=check_ingress_class,
        validate_update=check_ingress_class_update,
    ),
    Kind(
        kind="NetworkPolicy",
        plural="networkpolicies",
        group=_GROUP,
        schema=_SCHEMA + "NetworkPolicy",
        short_names=("netpol",),
        generation=True,
        inert="network policies are not enforced by this server's nodes: the object is only stored",
        defaults=default_network_policy,
        validate=check_network_policy,
    ),
)
