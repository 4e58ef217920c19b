"""A registry on a memory store, with a clock and a source of randomness that tests own; and bodies to write."""

from __future__ import annotations

from random import Random
from typing import Any

from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.registry import Registry
from cloudcore.store.memory import MemoryStore

START_S = 1_800_000_000.0
START = "2027-01-15T08:00:00Z"

Body = dict[str, Any]


class ManualClock:
    """A wall clock that moves when told to."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


def make_registry(admission: AdmissionChain | None = None, clock: ManualClock | None = None) -> Registry:
    return Registry(MemoryStore(), admission=admission or AdmissionChain(), clock=clock or ManualClock(), rng=Random(1))


def a_context(**changes: Any) -> Context:
    return Context(user="admin", **changes)


def target(registry: Registry, resource: str, namespace: str = "", name: str = "", subresource: str = "") -> Target:
    return Target(registry.kinds.of(resource), namespace, name, subresource)


def a_configmap(name: str = "settings", **data: str) -> Body:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data or {"colour": "blue"}}


def a_pod(name: str = "web", **spec: Any) -> Body:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "nginx:alpine"}], **spec},
    }


def a_deployment(name: str = "web", **spec: Any) -> Body:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "nginx:alpine"}]},
    }
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def a_service(name: str = "web", **spec: Any) -> Body:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }


def a_namespace(name: str = "shop") -> Body:
    return {"metadata": {"name": name}}
