"""``kubectl get`` of ingresses, their classes and network policies."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer
from cloudcore.apiserver.http.tables.workloads import selector_text
from protocol.objects.keys import Body

_SHOWN_HOSTS: Final = 3


@printer("ingresses.networking.k8s.io", NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE)
def ingress_cells(body: Body, now: float) -> Cells:
    """Return an Ingress's row."""
    balancers = at(body, "status", "loadBalancer", "ingress") or ()
    return [
        body["metadata"]["name"],
        at(body, "spec", "ingressClassName") or "<none>",
        _hosts(at(body, "spec", "rules") or []),
        ",".join(each.get("ip") or each.get("hostname", "") for each in balancers),
        "80, 443" if at(body, "spec", "tls") else "80",
        created(body, now),
    ]


def _hosts(rules: list[Body]) -> str:
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    if not hosts:
        return "*"
    more = len(hosts) - _SHOWN_HOSTS
    return ",".join(hosts[:_SHOWN_HOSTS]) + (f" + {more} more..." if more > 0 else "")


@printer("ingressclasses.networking.k8s.io", NAME, Column("Controller"), Column("Parameters"), AGE)
def ingress_class_cells(body: Body, now: float) -> Cells:
    """Return an IngressClass's row."""
    parameters = at(body, "spec", "parameters")
    shown = "<none>"
    if parameters:
        group = parameters.get("apiGroup")
        shown = f"{parameters.get('kind', '')}{f'.{group}' if group else ''}/{parameters.get('name', '')}"
    return [body["metadata"]["name"], at(body, "spec", "controller") or "", shown, created(body, now)]


@printer("networkpolicies.networking.k8s.io", NAME, Column("Pod-Selector"), AGE)
def network_policy_cells(body: Body, now: float) -> Cells:
    """Return a NetworkPolicy's row."""
    return [body["metadata"]["name"], selector_text(at(body, "spec", "podSelector")), created(body, now)]
