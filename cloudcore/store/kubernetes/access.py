"""Where the API server is and who we are to it, from a kubeconfig or from inside a pod.

``kubernetes_asyncio`` reads both and runs the exec plugins and OpenID refreshes of a kubeconfig; it is imported when
it is first needed, for it brings every model of the API with it (one second, 40 MB).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from protocol.errors import UsageError
from protocol.urls import fault_of_url


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request needs.

    Attributes:
        server: The API server's URL, without a slash at its end.
        tls: Trusts the server and carries the client's certificate; None for plain HTTP.
        authorization: The ``Authorization`` header; empty where the certificate says it all.
        server_name: The name to expect in the server's certificate; empty for that in the URL.
        proxy: A proxy's URL; empty for none.
    """

    server: str
    tls: ssl.SSLContext | None
    authorization: str = ""
    server_name: str = ""
    proxy: str = ""


class Access(Protocol):
    """Gives grants."""

    async def grant(self) -> Grant:
        """Return a fresh grant: called at the start, and again when the server no longer takes the last one.

        Raises:
            UsageError: The configuration cannot be used.
        """


class KubeconfigAccess:
    """Access by a kubeconfig.

    Args:
        path: The file.
        context: The context in it; empty for the current one.
    """

    def __init__(self, path: Path, context: str = "") -> None:
        self._path = path
        self._context = context

    async def grant(self) -> Grant:
        """Read the file again, run its plugin, and return the grant.

        Raises:
            UsageError: It is not there, or not one that can be used.
        """
        kube_config, configuration = _library("kube_config")
        if not self._path.is_file():
            raise UsageError(f"the kubeconfig {self._path} is not there")
        try:
            await kube_config.load_kube_config(
                config_file=str(self._path),
                context=self._context or None,
                client_configuration=configuration,
                persist_config=False,
            )
            return _grant_of(configuration)
        except Exception as exc:
            # The library lets everything through that a wrong file, a missing key or a failing plugin raises in it.
            why = " ".join(str(exc).split()) or type(exc).__name__
            raise UsageError(f"{self._path} cannot be used as a kubeconfig: {why}") from exc


class InClusterAccess:
    """Access from inside a pod, by its service account. The token is read again when the server refuses it."""

    async def grant(self) -> Grant:
        """Read the pod's token and return the grant.

        Raises:
            UsageError: This is no pod of a cluster.
        """
        incluster_config, configuration = _library("incluster_config")
        try:
            incluster_config.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
            return _grant_of(configuration)
        except Exception as exc:
            raise UsageError(f"no --kubeconfig was given, and this is not a pod of a cluster: {exc}") from exc


def _library(module: str) -> tuple[Any, Any]:
    """Return a module of the library's configuration and an empty configuration of its client."""
    import importlib  # noqa: PLC0415 - as below

    try:
        config = importlib.import_module(f"kubernetes_asyncio.config.{module}")
        client = importlib.import_module("kubernetes_asyncio.client")
    except ImportError as exc:
        raise UsageError("--store kubernetes needs more: pip install 'aiokubeedge[cloud,kubernetes]'") from exc
    # The class has a metaclass that hands out copies of a process-wide default: this is the way around it.
    return config, type.__call__(client.Configuration)


def _grant_of(configuration: Any) -> Grant:
    server = str(configuration.host).rstrip("/")
    if (fault := fault_of_url(server)) is not None:
        raise ValueError(f"the server {server!r}: {fault}")
    return Grant(
        server,
        _tls(configuration) if server.startswith("https") else None,
        authorization=configuration.api_key.get("BearerToken", ""),
        server_name=configuration.tls_server_name or "",
        proxy=configuration.proxy or "",
    )


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Clusters' own authorities are often older than what Python 3.13 asks of a certificate's extensions.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
