"""What Docker says of a container, in the words of the runtime's interface. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgecore.pods.runtimes.base import ContainerState, Exit
from edgecore.pods.runtimes.docker import labels
from protocol.objects.times import parse_timestamp

_LAST_SIGNAL: Final = 64
_GOING: Final = frozenset({"created", "initialized", "configured"})
"""Made and never started."""


def state_of(inspected: Mapping[str, Any], message: str = "") -> ContainerState | None:
    """Return the state of an instance, or None where the container is none of ours or was never started.

    Args:
        inspected: ``GET /containers/{id}/json``.
        message: Its last word, for one that has ended.
    """
    tags, state = (inspected.get("Config") or {}).get("Labels") or {}, inspected["State"]
    container = labels.container_of(tags)
    started_at = seconds(state.get("StartedAt") or "")
    if container is None or started_at <= 0 or state.get("Status") in _GOING:
        return None
    return ContainerState(
        id=container,
        image=tags.get(labels.IMAGE, ""),
        image_id=tags.get(labels.IMAGE_ID, ""),
        runtime_id=f"docker://{inspected['Id']}",
        started_at=started_at,
        exit=None if is_running(inspected) else _exit(state, message),
        address=tags.get(labels.ADDRESS, ""),
    )


def is_running(inspected: Mapping[str, Any]) -> bool:
    """Tell whether there is a process."""
    state = inspected["State"]
    return bool(state.get("Running") or state.get("Paused") or state.get("Restarting"))


def _exit(state: Mapping[str, Any], message: str) -> Exit:
    code = int(state.get("ExitCode") or 0)
    # Docker reports a death by signal as a shell does, and so cannot tell it from a program that exits so itself.
    signal = code - 128 if 128 < code <= 128 + _LAST_SIGNAL else 0
    reason = "Completed" if code == 0 else "Error"
    if state.get("OOMKilled") and code != 0:
        reason = "OOMKilled"
    return Exit(seconds(state.get("FinishedAt") or ""), code, signal, reason, message or state.get("Error") or "")


def seconds(text: str) -> float:
    """Return a time of Docker's as seconds since the epoch; 0 for none, which it writes as the year 1."""
    try:
        return max(parse_timestamp(text), 0.0)
    except ValueError:
        return 0.0


def address_of(inspected: Mapping[str, Any]) -> str:
    """Return a sandbox's own IP address; empty where it uses the host's."""
    networks = ((inspected.get("NetworkSettings") or {}).get("Networks") or {}).values()
    return next((str(one["IPAddress"]) for one in networks if one.get("IPAddress")), "")


def image_id_of(image: Mapping[str, Any]) -> str:
    """Return what a status calls an image: its digest in the registry it came from, else its own id."""
    digests = image.get("RepoDigests") or ()
    return f"docker-pullable://{digests[0]}" if digests else f"docker://{image['Id']}"
