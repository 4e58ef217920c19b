"""What a pod's environment and volumes are made from: ConfigMaps, Secrets, and facts about the pod itself."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edgecore.meta.base import Desired
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.quantities import parse_quantity
from protocol.objects.resources import CLAIMS, CONFIG_MAPS, NODES, PERSISTENT_VOLUMES, SECRETS
from protocol.objects.wellknown import ROOT_CA

ADDRESS_FIELDS = frozenset({"status.podIP", "status.podIPs"})
"""Field paths that stand for the pod's own address."""

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class ReferenceMissing(AiokubeedgeError):
    """Something the pod names is not on this node (yet), or lacks the key that is asked for."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a pod's volume asks for: a ``serviceAccountToken`` source.

    Attributes:
        audience: Whom the token is for; empty for the API server.
        expiration_s: How long it should be good, in seconds.
    """

    audience: str
    expiration_s: int


class TokenSource(Protocol):
    """Hands out tokens of pods' service accounts. Asked on the event loop.

    Whoever has a newer token than the one handed out says so with
    :class:`edgecore.pods.events.ReferencesChanged`: the volume is then made anew.
    """

    async def settled(self, pod: Body) -> None:
        """Wait, for some seconds at most, for tokens of the pod that are under way."""

    def token(self, pod: Body, request: TokenRequest) -> bytes:
        """Return the token to write into the pod's volume now. Waits for nothing.

        Raises:
            ReferenceMissing: There is none yet; the pod waits, and its Event says why.
        """


class Sources(Protocol):
    """Where contents come from."""

    def config_map(self, name: str) -> Mapping[str, bytes] | None:
        """Return the ConfigMap's entries, or None where it is not on this node."""

    def secret(self, name: str) -> Mapping[str, bytes] | None:
        """Return the Secret's entries, or None where it is not on this node."""

    def claim(self, name: str) -> Body | None:
        """Return a PersistentVolumeClaim of the pod's namespace, or None where it is not on this node."""

    def persistent_volume(self, name: str) -> Body | None:
        """Return a PersistentVolume, or None where it is not on this node."""

    def node(self) -> tuple[str, Mapping[str, str]]:
        """Return this node's name and labels."""

    def token(self, request: TokenRequest) -> bytes | None:
        """Return the pod's token, or None where this agent hands out none.

        Raises:
            ReferenceMissing: There is none yet.
        """

    def field(self, path: str) -> str:
        """Return a field of the pod, as the downward API names it.

        Raises:
            ReferenceMissing: There is no such field.
        """

    def resource(self, container: str, resource: str, divisor: str) -> str:
        """Return ``limits.cpu`` and the like of one of the pod's containers, in multiples of ``divisor``.

        Raises:
            ReferenceMissing: There is no such container or resource.
        """


@dataclass(frozen=True, slots=True)
class PodSources:
    """The sources of one pod.

    Attributes:
        pod: The pod.
        desired: The store.
        node_name: This node.
        host_ip: Its address.
        pod_ip: The pod's own address; empty where it uses the node's, or where it is not known yet.
        tokens: Where its service account's tokens come from, if anywhere.
        authority_pem: The authority of the API on this device; in ``ca.crt`` beside the cloud's.
    """

    pod: Body
    desired: Desired
    node_name: str
    host_ip: str
    pod_ip: str = ""
    tokens: TokenSource | None = None
    authority_pem: str = ""

    def config_map(self, name: str) -> Mapping[str, bytes] | None:
        """Return ``data`` and ``binaryData`` together."""
        body = self._get(CONFIG_MAPS, name)
        if body is None:
            return None
        text = {key: value.encode() for key, value in (body.get("data") or {}).items()}
        if name == ROOT_CA and self.authority_pem and "ca.crt" in text:
            text["ca.crt"] = text["ca.crt"].rstrip() + b"\n" + self.authority_pem.encode()
        return text | _decoded(body.get("binaryData") or {}, f'configmap "{name}"')

    def secret(self, name: str) -> Mapping[str, bytes] | None:
        """Return ``data``, decoded."""
        body = self._get(SECRETS, name)
        return None if body is None else _decoded(body.get("data") or {}, f'secret "{name}"')

    def claim(self, name: str) -> Body | None:
        """Return a PersistentVolumeClaim of the pod's namespace."""
        return self._get(CLAIMS, name)

    def persistent_volume(self, name: str) -> Body | None:
        """Return a PersistentVolume."""
        held = self.desired.get(ObjectKey(PERSISTENT_VOLUMES, "", name))
        return None if held is None else held.body

    def node(self) -> tuple[str, Mapping[str, str]]:
        """Return this node's name and labels; none where its object is not here."""
        held = self.desired.get(ObjectKey(NODES, "", self.node_name))
        return self.node_name, {} if held is None else held.body["metadata"].get("labels") or {}

    def token(self, request: TokenRequest) -> bytes | None:
        """Return the pod's token, or None where this agent hands out none."""
        return None if self.tokens is None else self.tokens.token(self.pod, request)

    def field(self, path: str) -> str:
        """Return a field of the pod, as the downward API names it."""
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        subscript = _SUBSCRIPT.fullmatch(path)
        if subscript is not None:
            return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
        match path:
            case "metadata.name" | "metadata.namespace" | "metadata.uid":
                return str(metadata.get(path.partition(".")[2], ""))
            case "metadata.labels" | "metadata.annotations":
                entries: Body = metadata.get(path.partition(".")[2]) or {}
                return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(entries.items()))
            case "spec.nodeName":
                return self.node_name
            case "spec.serviceAccountName":
                return str(spec.get("serviceAccountName", "default"))
            case "status.hostIP" | "status.hostIPs":
                return self.host_ip
            case path if path in ADDRESS_FIELDS:
                return self.pod_ip or self.host_ip
        raise ReferenceMissing(f"unsupported fieldPath: {path}")

    def resource(self, container: str, resource: str, divisor: str) -> str:
        """Return a resource of one of the pod's containers; 0 where it states none."""
        specs = [*(self.pod["spec"].get("initContainers") or ()), *self.pod["spec"]["containers"]]
        spec = next((one for one in specs if one["name"] == container), None)
        part, _, name = resource.partition(".")
        if spec is None or part not in ("limits", "requests"):
            raise ReferenceMissing(f"unsupported resourceFieldRef: {container} {resource}")
        amount = parse_quantity(((spec.get("resources") or {}).get(part) or {}).get(name, "0"))
        unit = parse_quantity(divisor or "1") or parse_quantity("1")
        return str(math.ceil(amount / unit))

    def _get(self, resource: str, name: str) -> Body | None:
        held = self.desired.get(ObjectKey(resource, self.pod["metadata"].get("namespace", ""), name))
        return None if held is None else held.body


def entry(found: Mapping[str, bytes] | None, kind: str, name: str, key: str, *, optional: bool) -> bytes | None:
    """Return one entry of a ConfigMap or Secret; None where it is missing and optional.

    Raises:
        ReferenceMissing: It is missing and not optional.
    """
    if found is not None and key in found:
        return found[key]
    if optional:
        return None
    raise ReferenceMissing(
        f'{kind} "{name}" not found' if found is None else f'key "{key}" not found in {kind} "{name}"'
    )


def _decoded(entries: Mapping[str, str], what: str) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in entries.items()}
    except (binascii.Error, ValueError) as error:
        raise ReferenceMissing(f"{what} has an entry that is not base64: {error}") from None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
