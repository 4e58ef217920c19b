"""Defaults of pods and pod templates.

Source: Kubernetes ``core/v1`` ``SetDefaults_*``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from protocol.objects.keys import Body

_POD_SPEC: Final = (
    ("restartPolicy", "Always"),
    ("dnsPolicy", "ClusterFirst"),
    ("terminationGracePeriodSeconds", 30),
    ("schedulerName", "default-scheduler"),
)
_CONTAINER: Final = (
    ("terminationMessagePath", "/dev/termination-log"),
    ("terminationMessagePolicy", "File"),
)
_PROBE: Final = (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3))
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")
_MODE_0644: Final = 0o644
_MODED_VOLUMES: Final = ("configMap", "secret", "downwardAPI", "projected")


def default_pod(body: Body) -> None:
    """Fill the absent fields of a Pod."""
    spec = body.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        _default_requests(container["resources"])


def default_pod_template(template: Body) -> None:
    """Fill the absent fields of a pod template."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Body) -> None:
    """Fill the absent fields of a PodSpec."""
    for name, value in _POD_SPEC:
        spec.setdefault(name, value)
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    host_network = spec.get("hostNetwork", False)
    for listed in _CONTAINER_LISTS:
        for container in spec.get(listed) or ():
            _default_container(container, host_network=host_network)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Body, *, host_network: bool) -> None:
    for name, value in _CONTAINER:
        container.setdefault(name, value)
    container.setdefault("resources", {})
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if host_network:
            port.setdefault("hostPort", port.get("containerPort"))
    for variable in container.get("env") or ():
        _default_field_ref((variable.get("valueFrom") or {}).get("fieldRef"))
    for name in _PROBES:
        if name in container:
            _default_probe(container[name])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _default_http_get(handler.get("httpGet"))


def pull_policy(image: str) -> str:
    """Return when an image is pulled by default: always for ``latest`` or no tag, else if it is not there."""
    reference, _, digest = image.partition("@")
    _, _, tag = reference.rpartition("/")[2].partition(":")
    return "IfNotPresent" if digest or tag not in {"", "latest"} else "Always"


def _default_probe(probe: Body) -> None:
    for name, value in _PROBE:
        probe.setdefault(name, value)
    _default_http_get(probe.get("httpGet"))
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_http_get(action: Body | None) -> None:
    if action is not None:
        action.setdefault("path", "/")
        action.setdefault("scheme", "HTTP")


def _default_field_ref(reference: Body | None) -> None:
    if reference is not None:
        reference.setdefault("apiVersion", "v1")


def _default_requests(resources: Body) -> None:
    """Request what is limited, where nothing is requested."""
    limits = resources.get("limits")
    if limits:
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _default_volume(volume: Body) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
        return
    for name in _MODED_VOLUMES:
        if name in volume:
            volume[name].setdefault("defaultMode", _MODE_0644)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    _default_items((volume.get("downwardAPI") or {}).get("items") or ())
    for source in (volume.get("projected") or {}).get("sources") or ():
        _default_items((source.get("downwardAPI") or {}).get("items") or ())
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)


def _default_items(items: Iterable[Any]) -> None:
    for item in items:
        _default_field_ref(item.get("fieldRef"))
