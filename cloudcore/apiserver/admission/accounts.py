"""Admission of pods: as which service account they run, and the volume its token comes in.

Source: Kubernetes ``plugin/pkg/admission/serviceaccount``.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.errors import NotFound
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.mirrors import is_mirror
from protocol.objects.resources import PODS, RUNTIME_CLASSES, SERVICE_ACCOUNTS
from protocol.objects.wellknown import ROOT_CA

DEFAULT_ACCOUNT: Final = "default"
"""The ConfigMap with the cluster's authority that every namespace has."""
MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_S: Final = 3607
"""Kubernetes' lifetime of a pod's token: an hour, and seven seconds that tell where it came from."""
VOLUME_PREFIX: Final = "kube-api-access-"

_WITHOUT_MOUNTS: Final = "process"
"""The handler whose containers are plain processes: they have no mounts of their own, only links in their folder."""
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_CONTAINERS: Final = ("initContainers", "containers")


class ServiceAccounts:
    """Kubernetes' plugin ServiceAccount, for pods of the edge.

    The token's volume is given to pods whose RuntimeClass says that they run in containers; what runs as plain
    processes gets it with ``automountServiceAccountToken: true`` (``docs/decisions``, "tokens on devices").

    Args:
        rng: Makes the suffix of the volume's name.
    """

    validating = False

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or Random()

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of pods."""
        return operation is Operation.CREATE and resource == PODS and not subresource

    async def admit(self, admission: Admission) -> None:
        """Set the account, its pull secrets, and its token's volume.

        The account ``default`` need not exist yet, as its controller may be behind.

        Raises:
            Forbidden: There is no such account.
        """
        if is_mirror(admission.body):
            return  # it has no account; the plugin MirrorPods sees to it that it names none
        spec = admission.body["spec"]
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT_ACCOUNT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(admission, name)
        if account is None:
            return
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]
        # What runs as plain processes gets the volume where somebody says so: it costs a start some ms.
        wanted = _automount(spec, account)
        if wanted or (wanted is None and await _has_mounts(admission, spec)):
            self._add_volume(spec)

    async def _account(self, admission: Admission, name: str) -> Body | None:
        target = admission.target
        try:
            record = await admission.store.get(ObjectKey(SERVICE_ACCOUNTS, target.namespace, name))
        except NotFound:
            if name == DEFAULT_ACCOUNT:
                return None
            why = f'error looking up service account {target.namespace}/{name}: serviceaccount "{name}" not found'
            raise failures.forbidden(target.kind, target.name, why) from None
        return record.decode()

    def _add_volume(self, spec: Body) -> None:
        names = (str(each.get("name", "")) for each in spec.get("volumes") or ())
        name = next((each for each in names if each.startswith(VOLUME_PREFIX)), None)
        volume = name or VOLUME_PREFIX + "".join(self._rng.choices(_ALPHABET, k=5))
        mounted = False
        for container in (one for part in _CONTAINERS for one in spec.get(part) or ()):
            mounts = container.get("volumeMounts") or []
            if not any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
                container["volumeMounts"] = [*mounts, {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}]
                mounted = True
        if mounted and name is None:
            spec["volumes"] = [*(spec.get("volumes") or ()), token_volume(volume)]


def token_volume(name: str) -> dict[str, Any]:
    """Return the volume that a pod finds its token, the cluster's authority and its namespace in."""
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_S, "path": "token"}},
        {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]
    return {"name": name, "projected": {"defaultMode": 420, "sources": sources}}


def _automount(spec: Body, account: Body) -> bool | None:
    """Return what the pod says about the volume, or else its account; None where both leave it open."""
    for said in (spec.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if said is not None:
            return bool(said)
    return None


async def _has_mounts(admission: Admission, spec: Body) -> bool:
    """Tell whether the pod says that it runs where a volume can be mounted without getting into the pod's way."""
    name = spec.get("runtimeClassName")
    if not name:
        return False
    try:
        record = await admission.store.get(ObjectKey(RUNTIME_CLASSES, "", name))
    except NotFound:
        return False  # the plugin RuntimeClass says so
    return record.decode().get("handler") != _WITHOUT_MOUNTS
