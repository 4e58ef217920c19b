"""The Kubernetes API over HTTPS: the same client interface, for the command line and programs outside the daemon."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
import yaml

from cloudcore import errors
from cloudcore.client import Patch, PatchType, Propagation
from cloudcore.errors import ApiError, Cause
from protocol.errors import AiokubeedgeError, UsageError
from protocol.objects.keys import Body, Revision, Uid
from protocol.objects.resources import PODS

GROUP_VERSIONS: Final[Mapping[str, str]] = {
    "": "api/v1",
    "apps": "apis/apps/v1",
    "coordination.k8s.io": "apis/coordination.k8s.io/v1",
    "edge.aiokubeedge.io": "apis/edge.aiokubeedge.io/v1alpha1",
    "node.k8s.io": "apis/node.k8s.io/v1",
    "scheduling.k8s.io": "apis/scheduling.k8s.io/v1",
}
_PATCH_TYPES: Final[Mapping[PatchType, str]] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
_BY_REASON: Final = {
    kind.reason: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ApiError)
}


class ServerUnreachable(AiokubeedgeError):
    """Nothing answers at the API's address."""


class RestClient:
    """Implements :class:`cloudcore.client.Client` over HTTPS. Use as an async context manager.

    Args:
        kubeconfig: The file that names server, CA and client certificate.
        timeout_s: Longest time for one request, seconds.

    Raises:
        UsageError: The kubeconfig cannot be read. (From the constructor.)
    """

    def __init__(self, kubeconfig: Path, *, timeout_s: float = 30.0) -> None:
        self.server, self._ssl = read_kubeconfig(kubeconfig)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._ssl)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        """Return the object."""
        return await self._call("GET", _path(resource, namespace, name))

    async def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Body]:
        """Return the objects that match."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        answer = await self._call(
            "GET", _path(resource, namespace or ""), query={key: value for key, value in query.items() if value}
        )
        items: list[Body] = answer["items"]
        return items

    async def create(self, resource: str, body: Body) -> Body:
        """Create an object."""
        return await self._call("POST", _path(resource, body["metadata"].get("namespace", "")), body)

    async def update(self, resource: str, body: Body, *, subresource: str = "") -> Body:
        """Replace an object or a subresource of it."""
        metadata = body["metadata"]
        return await self._call(
            "PUT", _path(resource, metadata.get("namespace", ""), metadata["name"], subresource), body
        )

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
        path = _path(resource, namespace, name, subresource)
        return await self._call("PATCH", path, patch, content_type=_PATCH_TYPES[kind])

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
        options: Body = {"propagationPolicy": propagation}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid is not None or revision is not None:
            options["preconditions"] = {key: value for key, value in preconditions.items() if value is not None}
        return await self._call("DELETE", _path(resource, namespace, name), options)

    async def bind(self, namespace: str, name: str, node: str, *, uid: Uid) -> None:
        """Bind a pod to a node."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "target": {"kind": "Node", "name": node},
        }
        await self._call("POST", _path(PODS, namespace, name, "binding"), binding)

    async def _call(
        self,
        method: str,
        path: str,
        body: Patch | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Body:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            async with self._session.request(
                method, f"{self.server}/{path}", data=data, headers=headers, params=query
            ) as response:
                answer: Body = orjson.loads(await response.read())
                if response.status >= 400:
                    raise _error_of(answer)
                return answer
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as exc:
            raise ServerUnreachable(f"no API server answers at {self.server}: is `cloudcore run` running?") from exc


def _path(resource: str, namespace: str, name: str = "", subresource: str = "") -> str:
    plural, _, group = resource.partition(".")
    place = f"namespaces/{namespace}" if namespace and resource != "namespaces" else ""
    return "/".join(part for part in (GROUP_VERSIONS[group], place, plural, name, subresource) if part)


def _error_of(status: Body) -> ApiError:
    kind = _BY_REASON.get(status.get("reason", ""), errors.InternalError)
    details = status.get("details") or {}
    causes = [
        Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in details.get("causes") or ()
    ]
    return kind(
        status.get("message", "unknown error"),
        details=details,
        causes=causes,
        retry_after_s=details.get("retryAfterSeconds"),
    )


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
