"""What probes come to in Events, in the kubelet's words. Pure."""

from __future__ import annotations

from edgecore.pods.containers import Container
from edgecore.pods.events import ProbeEnded, RecordEvent
from edgecore.pods.probes import Known, Outcome, ProbeSpec
from protocol.objects.keys import Body


def told(event: ProbeEnded) -> RecordEvent | None:
    """Return the Event about how a probe went, or None where there is nothing to tell."""
    uid, name = event.container.pod, event.container.name
    kind, message = event.kind.value, event.message
    match event.outcome:
        case Outcome.FAILURE:
            return RecordEvent(uid, True, "Unhealthy", f"{kind} probe failed: {message}", name)
        case Outcome.UNKNOWN:
            said = f"{kind} probe errored and resulted in unknown state: {message}"
            return RecordEvent(uid, True, "Unhealthy", said, name)
        case Outcome.WARNING:
            return RecordEvent(uid, True, "ProbeWarning", f"{kind} probe warning: {message}", name)
        case _:
            return None


def verdict_on(container: Container, probe: ProbeSpec) -> str:
    """Return what is said of a container that is stopped for having failed ``probe``."""
    message = f"Container {container.name} failed {probe.kind.value.lower()} probe"
    return f"{message}, will be restarted" if container.restart_policy != "Never" else message


def known_of(container: Container, status: Body) -> Known:
    """Return what a pod's last status says of the container's current instance; nothing, where it is of another."""
    reported = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    runtime_id = container.current.runtime_id if container.current is not None else ""
    last: Body = next((one for one in reported if one.get("containerID") == runtime_id), {})
    return Known(started=bool(last.get("started")), ready=bool(last.get("ready")))
