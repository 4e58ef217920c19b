"""Pods that hold more of the node's disk than they may: emptyDir size limits and ephemeral-storage limits. Pure."""

from __future__ import annotations

from edgecore.scheduler.ranking import PodStat
from protocol.objects.keys import Body
from protocol.objects.quantities import whole


def breach(stat: PodStat) -> str:
    """Return what a pod exceeds, in the kubelet's words; empty where it exceeds nothing."""
    if stat.disk is None:
        return ""
    return _of_volumes(stat) or _of_pod(stat) or _of_containers(stat)


def is_limited(pod: Body) -> bool:
    """Tell whether a pod's disk has to be measured to hold it to its limits."""
    empty = any((volume.get("emptyDir") or {}).get("sizeLimit") for volume in pod["spec"].get("volumes") or ())
    return empty or any(_limit(container) is not None for container in pod["spec"].get("containers") or ())


def _of_volumes(stat: PodStat) -> str:
    assert stat.disk is not None
    for volume in stat.pod["spec"].get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        # A size limit of zero is none.
        if limit and 0 < whole(limit) < stat.disk.volumes.get(volume["name"], 0):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
    return ""


def _of_pod(stat: PodStat) -> str:
    assert stat.disk is not None
    limits = [_limit(container) for container in stat.pod["spec"].get("containers") or ()]
    total = sum(limit for limit in limits if limit is not None)
    # As for the kubelet: containers that state no limit have the others' for their own.
    if total and stat.disk.used_bytes > total:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {_text(total)}. "
    return ""


def _of_containers(stat: PodStat) -> str:
    assert stat.disk is not None
    for container in stat.pod["spec"].get("containers") or ():
        limit = _limit(container)
        if limit is not None and stat.disk.containers.get(container["name"], 0) > limit:
            return f'Container {container["name"]} exceeded its local ephemeral storage limit "{_text(limit)}". '
    return ""


def _limit(container: Body) -> int | None:
    stated = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
    return None if stated is None else whole(stated)


def _text(size_bytes: int) -> str:
    for suffix, shift in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if size_bytes and size_bytes % (1 << shift) == 0:
            return f"{size_bytes >> shift}{suffix}"
    return str(size_bytes)
