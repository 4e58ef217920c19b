"""Claims, volumes and storage classes as the scheduler's informers know them."""

from __future__ import annotations

from collections.abc import Iterable

from cloudcore.informers import Informers
from cloudcore.informers.indexes import BY_CLAIM, claims_of_pod
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES

_ENDED = ("Succeeded", "Failed")


class Claims:
    """Implements :class:`cloudcore.scheduler.volumes.ClaimLookup`.

    Args:
        informers: Where they come from.
    """

    def __init__(self, informers: Informers) -> None:
        self._claims = informers.for_resource(CLAIMS)
        self._volumes = informers.for_resource(PERSISTENT_VOLUMES)
        self._classes = informers.for_resource(STORAGE_CLASSES)
        self._pods = informers.for_resource(PODS)
        self._pods.add_index(BY_CLAIM, claims_of_pod)
        self.followed = (self._claims, self._volumes, self._classes)

    def claim(self, key: ObjectKey) -> Body | None:
        """Return the claim."""
        return self._claims.get(key)

    def volume(self, name: str) -> Body | None:
        """Return the volume."""
        return self._volumes.get(ObjectKey(PERSISTENT_VOLUMES, "", name))

    def volumes(self) -> list[Body]:
        """Return all volumes."""
        return self._volumes.list()

    def storage_class(self, name: str) -> Body | None:
        """Return the class."""
        return self._classes.get(ObjectKey(STORAGE_CLASSES, "", name))

    def users(self, key: ObjectKey) -> Iterable[Body]:
        """Return the pods on nodes that name the claim and have not ended."""
        pods = self._pods.list(index=BY_CLAIM, value=f"{key.namespace}/{key.name}")
        return [pod for pod in pods if pod["spec"].get("nodeName") and _lives(pod)]


def _lives(pod: Body) -> bool:
    return (pod.get("status") or {}).get("phase") not in _ENDED
