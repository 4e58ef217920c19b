"""What a plan may ask for. Actions are carried out in the order given."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.objects.keys import Body


@dataclass(frozen=True, slots=True)
class CreateReplicaSet:
    """Create the ReplicaSet of the present template."""

    body: Body


@dataclass(frozen=True, slots=True)
class ChangeReplicaSet:
    """Change a ReplicaSet's size, annotations or minReadySeconds.

    Attributes:
        replicaset: As observed.
        replicas: The new size; None leaves it.
        annotations: Annotations to set.
        min_ready_s: The new ``minReadySeconds``; None leaves it.
    """

    replicaset: Body
    replicas: int | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    min_ready_s: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteReplicaSet:
    """Delete a ReplicaSet that the revision history no longer holds."""

    replicaset: Body


@dataclass(frozen=True, slots=True)
class RecordRevision:
    """Write the Deployment's revision annotation."""

    revision: str


Action = CreateReplicaSet | ChangeReplicaSet | DeleteReplicaSet | RecordRevision
