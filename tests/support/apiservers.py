"""An API server on loopback over an in-memory store, with a certificate authority of its own."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.http.app import App, AppSettings
from cloudcore.apiserver.http.authz import Authorizers, MastersAuthorizer, NodeAuthorizer, SliceContains
from cloudcore.apiserver.http.health import Check
from cloudcore.apiserver.http.server import ApiServer
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.rbac.defaults import DEFAULTS
from cloudcore.apiserver.rbac.roles import Roles
from cloudcore.apiserver.registry import Registry
from cloudcore.security.ca import CertificateAuthority, Credential
from cloudcore.security.serving import server_context, server_credential
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import key_of

ADMIN = ("kubernetes-admin", "system:masters")


@dataclass
class RunningServer:
    """A server under test."""

    registry: Registry
    client: LocalClient
    app: App
    server: ApiServer
    ca: CertificateAuthority
    folder: Path

    @property
    def url(self) -> str:
        host, port = self.server.address
        return f"https://{host}:{port}"

    def credential(self, user: str, group: str) -> Credential:
        return self.ca.issue_client(user, group, time.time())

    def tls(self, user: str = ADMIN[0], group: str = ADMIN[1]) -> ssl.SSLContext:
        """Return a client's TLS context with a certificate of ``user``."""
        credential = self.credential(user, group)
        certificate, key = self.folder / "client.crt", self.folder / "client.key"
        certificate.write_bytes(credential.certificate_pem)
        key.write_bytes(credential.key_pem)
        context = self.anonymous_tls()
        context.load_cert_chain(certificate, key)
        return context

    def anonymous_tls(self) -> ssl.SSLContext:
        """Return a client's TLS context without a certificate."""
        return ssl.create_default_context(cadata=self.ca.certificate_pem.decode())

    def session(self, user: str = ADMIN[0], group: str = ADMIN[1]) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.tls(user, group))
        return aiohttp.ClientSession(self.url, connector=connector)

    def anonymous_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(ssl=self.anonymous_tls()))

    def kubeconfig(self, user: str = ADMIN[0], group: str = ADMIN[1]) -> Path:
        """Write a kubeconfig for ``user`` and return its path."""
        credential = self.credential(user, group)
        path = self.folder / f"{user.replace(':', '_')}.kubeconfig"
        path.write_text(json.dumps(_kubeconfig(self.url, self.ca.certificate_pem, credential)))
        return path


def _kubeconfig(url: str, ca: bytes, credential: Credential) -> dict[str, object]:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    user = {
        "client-certificate-data": text(credential.certificate_pem),
        "client-key-data": text(credential.key_pem),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority-data": text(ca)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


def default_roles() -> Roles:
    """Return the roles that every cloud has, without a store behind them."""
    roles = Roles()
    for resource, body in DEFAULTS:
        roles.put(key_of(resource, body), body)
    return roles


def _in_no_slice(_node: str, _key: object) -> bool:
    return False


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    registry: Registry | None = None,
    slice_contains: SliceContains = _in_no_slice,
    readiness: Mapping[str, Check] | None = None,
    max_in_flight: int = 600,
) -> AsyncIterator[RunningServer]:
    """Run a server on a free port for as long as the context lasts."""
    registry = registry or Registry(MemoryStore())
    await bootstrap(registry)
    roles = default_roles()
    app = App(
        AppSettings(
            registry,
            authorizer=Authorizers((MastersAuthorizer(), NodeAuthorizer(slice_contains), roles)),
            rules=roles,
            readiness=readiness or {},
            max_in_flight=max_in_flight,
        )
    )
    ca = CertificateAuthority.create(time.time())
    certificate, key = server_credential(ca, folder / "pki", ["127.0.0.1", "localhost"], time.time())
    server = ApiServer(app)
    await server.start(server_context(certificate, key, ca=ca, clients=ssl.CERT_OPTIONAL))
    try:
        yield RunningServer(registry, LocalClient(registry), app, server, ca, folder)
    finally:
        await server.close()
        await registry.store.close()
