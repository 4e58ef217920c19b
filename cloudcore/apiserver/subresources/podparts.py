"""The ``ephemeralcontainers`` and ``resize`` subresources of pods: the parts of a spec that plain updates must keep.

The node does not act on either yet: containers are not added to a running pod, and limits are only recorded.
Source: Kubernetes' documented subresources; ``ValidatePodEphemeralContainersUpdate``, ``ValidatePodResize``.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.subresources.scale import spec_of
from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.qos import qos_class

_LISTS: Final = ("containers", "initContainers")
_RESIZED: Final = ("resources", "resizePolicy")


class EphemeralContainersView:
    """Reads as the pod; writing adds ephemeral containers and changes nothing else."""

    is_whole = True
    status_only = False

    def read(self, body: Body) -> Body:
        """Return the pod."""
        return body

    def write(self, old: Body, view: Body) -> Body:
        """Return the stored pod with the wanted ephemeral containers."""
        wanted = spec_of(view).get("ephemeralContainers")
        spec = {name: value for name, value in old["spec"].items() if name != "ephemeralContainers"}
        return {**old, "spec": spec | ({"ephemeralContainers": wanted} if wanted else {})}


class ResizeView:
    """Reads as the pod; writing changes the resources of its containers and nothing else."""

    is_whole = True
    status_only = False

    def read(self, body: Body) -> Body:
        """Return the pod."""
        return body

    def write(self, old: Body, view: Body) -> Body:
        """Return the stored pod with the wanted resources."""
        spec = dict(old["spec"])
        for listed in _LISTS:
            wanted = {str(each.get("name")): each for each in _objects(spec_of(view).get(listed))}
            if spec.get(listed):
                spec[listed] = [_resized(each, wanted.get(each["name"], each)) for each in spec[listed]]
        return {**old, "spec": spec}


def _objects(listed: object) -> list[Body]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _resized(container: Body, wanted: Body) -> Body:
    kept = {name: value for name, value in container.items() if name not in _RESIZED}
    return kept | {name: wanted[name] for name in _RESIZED if name in wanted}


def check_part(kind: Kind, subresource: str, body: Body, old: Body) -> bool:
    """Check a pod that was changed through ``subresource``; tell whether that is one of this module's.

    Raises:
        Invalid: What changed may not.
    """
    rule = {"ephemeralcontainers": check_ephemeral, "resize": check_resize}.get(subresource)
    if rule is None or kind.resource != "pods":
        return False
    causes = [*rule(body, old), *kind.validate(body)]
    if causes:
        raise failures.invalid(kind, old["metadata"]["name"], causes)
    return True


def check_ephemeral(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with changed ephemeral containers: they are only ever added."""
    wanted, present = body["spec"].get("ephemeralContainers") or [], old["spec"].get("ephemeralContainers") or []
    path, by_name = "spec.ephemeralContainers", {each.get("name", ""): each for each in wanted}
    causes = []
    for each in present:
        if each["name"] not in by_name:
            causes.append(forbidden(path, "existing ephemeral containers may not be removed"))
        elif by_name[each["name"]] != each:
            causes.append(forbidden(path, "existing ephemeral containers may not be changed"))
    taken = {each["name"] for listed in _LISTS for each in body["spec"].get(listed) or ()}
    for index, each in enumerate(wanted):
        causes += _check_one(f"{path}[{index}]", each, taken)
        taken = taken | {each.get("name", "")}
    return causes


def _check_one(path: str, container: Body, taken: set[str]) -> list[Cause]:
    name = container.get("name", "")
    causes = check_name("label", f"{path}.name", name) if name else [required(f"{path}.name")]
    if name and name in taken:
        causes.append(duplicate(f"{path}.name", name))
    if not container.get("image"):
        causes.append(required(f"{path}.image"))
    unfit = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources")
    causes += [
        forbidden(f"{path}.{name}", "cannot be set for an Ephemeral Container") for name in unfit if container.get(name)
    ]
    return causes


def check_resize(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with changed resources: the pod's QoS class must stay."""
    before = (old.get("status") or {}).get("qosClass")
    now = qos_class(body)
    if before and now != before:
        return [invalid("spec", f"{now}", "Pod QOS Class may not change as a result of resizing")]
    return []
