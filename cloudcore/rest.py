"""The Kubernetes API over HTTPS: the same client interface, for the command line and programs outside the daemon.

It is also how the daemon's own parts write where a Kubernetes cluster is the store. Nothing here relies on what only
our own API server does.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from cloudcore.client import Patch, PatchType, Propagation
from cloudcore.store.kubernetes.access import Grant
from cloudcore.store.kubernetes.discovery import Discovery
from cloudcore.store.kubernetes.failures import ServerUnreachable
from cloudcore.store.kubernetes.session import ApiSession, SessionSettings
from protocol.backoff import RetryPolicy
from protocol.errors import UsageError
from protocol.objects.keys import Body, Revision, Uid
from protocol.objects.resources import PODS

__all__ = ["RestClient", "ServerUnreachable", "read_kubeconfig"]

_PATCH_TYPES: Final[Mapping[PatchType, str]] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
_PAGE: Final = 500
_UNHURRIED: Final = 1e9


class FileAccess:
    """Access by a kubeconfig of our own making: a certificate, and nothing to refresh.

    Args:
        path: The file.

    Raises:
        UsageError: It cannot be read. (From the constructor.)
    """

    def __init__(self, path: Path) -> None:
        self._grant = Grant(*read_kubeconfig(path))

    async def grant(self) -> Grant:
        """Return the grant."""
        return self._grant


class RestClient:
    """Implements :class:`cloudcore.client.Client` over HTTPS. Use as an async context manager.

    Args:
        source: A kubeconfig that :mod:`cloudcore.security.serving` wrote; or a session to use, which stays open.
        timeout_s: Longest time for one request, seconds. A session has its own.
        discovery: Knows where resources are; by default, of this client alone.

    Raises:
        UsageError: The kubeconfig cannot be read. (From the constructor.)
    """

    def __init__(
        self, source: Path | ApiSession, *, timeout_s: float = 30.0, discovery: Discovery | None = None
    ) -> None:
        self._owned = isinstance(source, Path)
        self._session = source if isinstance(source, ApiSession) else _session_of(source, timeout_s)
        self._discovery = discovery or Discovery(self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            await self._session.close()

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        """Return the object."""
        return await self._session.call("GET", await self._path(resource, namespace, name))

    async def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Body]:
        """Return the objects that match."""
        path = await self._path(resource, namespace or "")
        query = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": str(_PAGE)}
        query = {key: value for key, value in query.items() if value}
        items: list[Body] = []
        while True:
            page = await self._session.call("GET", path, query=query)
            items += page.get("items") or ()
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    async def create(self, resource: str, body: Body) -> Body:
        """Create an object."""
        row = await self._discovery.of(resource)
        whole = {"apiVersion": row.api_version, "kind": row.kind, **body}
        return await self._session.call("POST", row.path(body["metadata"].get("namespace", "")), whole)

    async def update(self, resource: str, body: Body, *, subresource: str = "") -> Body:
        """Replace an object or a subresource of it.

        A status goes as a patch of the status alone: Kubernetes takes labels and annotations from a status that is
        put, and a body that leaves them out would take them away.
        """
        metadata = body["metadata"]
        row = await self._discovery.of(resource)
        path = row.path(metadata.get("namespace", ""), metadata["name"], subresource)
        if subresource == "status":
            return await self._session.call("PATCH", path, status_patch(body), content_type=_PATCH_TYPES["json"])
        named = {} if subresource else {"apiVersion": row.api_version, "kind": row.kind}
        return await self._session.call("PUT", path, {**named, **body})

    async def patch(
        self,
        resource: str,
        namespace: str,
        name: str,
        patch: Patch,
        *,
        kind: PatchType = "merge",
        subresource: str = "",
    ) -> Body:
        """Patch an object."""
        path = await self._path(resource, namespace, name, subresource)
        return await self._session.call("PATCH", path, patch, content_type=_PATCH_TYPES[kind])

    async def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        uid: Uid | None = None,
        revision: Revision | None = None,
        grace_s: int | None = None,
        propagation: Propagation = "Background",
    ) -> Body:
        """Delete an object."""
        preconditions = {"uid": uid, "resourceVersion": None if revision is None else str(revision)}
        options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid is not None or revision is not None:
            options["preconditions"] = {key: value for key, value in preconditions.items() if value is not None}
        return await self._session.call("DELETE", await self._path(resource, namespace, name), options)

    async def bind(self, namespace: str, name: str, node: str, *, uid: Uid) -> None:
        """Bind a pod to a node."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "target": {"kind": "Node", "name": node},
        }
        await self._session.call("POST", await self._path(PODS, namespace, name, "binding"), binding)

    async def _path(self, resource: str, namespace: str, name: str = "", subresource: str = "") -> str:
        return (await self._discovery.of(resource)).path(namespace, name, subresource)


def status_patch(body: Body) -> list[Body]:
    """Return the JSON patch that replaces the status, provided the object is still at the body's version."""
    version = body["metadata"].get("resourceVersion")
    check = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}] if version else []
    return [*check, {"op": "add", "path": "/status", "value": body.get("status") or {}}]


def _session_of(kubeconfig: Path, timeout_s: float) -> ApiSession:
    """Return a session for a person's command or a program's own affairs: no rate, and no second attempt."""
    settings = SessionSettings(
        qps=_UNHURRIED,
        burst=_UNHURRIED,
        timeout_s=timeout_s,
        retry=RetryPolicy(max_retries=0),
        hint="is `cloudcore run` running?",
    )
    return ApiSession(FileAccess(kubeconfig), settings)


def read_kubeconfig(path: Path) -> tuple[str, ssl.SSLContext]:
    """Return the server's address and a TLS context with the CA and client certificate of ``path``.

    Raises:
        UsageError: The file cannot be read or lacks a part.
    """
    try:
        config: Any = yaml.safe_load(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        pair = base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # ssl takes a key from a file only; mode 0600
            file.write(pair)
            file.flush()
            context.load_cert_chain(file.name)
    except FileNotFoundError as exc:
        raise UsageError(f"{path} is not there: has `cloudcore run` run with this --data-dir?") from exc
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as exc:
        raise UsageError(f"{path} cannot be read as a kubeconfig: {exc}") from exc
    return str(cluster["server"]).rstrip("/"), context
