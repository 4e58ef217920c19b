"""How a device becomes a node: the token is redeemed, the certificate signed, the Node created or taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cloudcore.client import Client
from cloudcore.errors import AlreadyExists, NotFound
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.nodelabels import node_labels
from cloudcore.security.signer import key_fingerprint, load_csr, sign_node
from cloudcore.security.tokens import verify
from cloudcore.security.tokenstore import NAMESPACE, TokenStore
from protocol.objects.keys import Body, NodeName
from protocol.objects.resources import NODES
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID, RUNTIMES

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a device asks with; see ``docs/protocol.md``, "Enrolment"."""

    token: str
    csr_pem: bytes
    instance_id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    runtimes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """What it gets: its name and its certificate, PEM."""

    node: NodeName
    certificate_pem: str


class Joining:
    """Lets devices join.

    Args:
        client: Reads and writes tokens and Nodes.
        ca: Signs.
        clock: Seconds since the epoch.
        namespace: Where the tokens' Secrets are.
    """

    def __init__(
        self, client: Client, ca: CertificateAuthority, clock: Callable[[], float], *, namespace: str = NAMESPACE
    ) -> None:
        self._client = client
        self._ca = ca
        self._clock = clock
        self.tokens = TokenStore(client, namespace)

    async def join(self, request: JoinRequest) -> Joined:
        """Make a node of the device that asks, or make the node that device's from now on.

        Everything that can be refused is checked before the token is redeemed. Each step can be repeated: after a
        crash or a lost reply the same request ends in the same state and the same answer.

        Raises:
            TokenError: The token does not enrol.
            CsrRefused: The certificate request is not the node's.
            LabelRefused: A label may not be set by a node.
            ApiError: The store did not take it.
        """
        now = self._clock()
        claims = verify(request.token, key=self._ca.token_key, ca_fingerprint=self._ca.fingerprint, now=now)
        csr = load_csr(request.csr_pem, claims.node)
        labels = node_labels(claims.node, request.labels)
        key = key_fingerprint(csr)
        pem = await self.tokens.redeem(claims, key, lambda: sign_node(self._ca, csr, claims.node, now))
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii")).fingerprint(hashes.SHA256()).hex()
        annotations = {
            INSTANCE_ID: request.instance_id,
            CERTIFICATE: certificate,
            RUNTIMES: ",".join(request.runtimes),
        }
        await self._take_node(claims.node, {"labels": labels, "annotations": annotations})
        await self.tokens.retire(claims.node, but=claims.id)
        log.info("node joined", node=claims.node, instance=request.instance_id, certificate=certificate[:16])
        return Joined(claims.node, pem)

    async def _take_node(self, node: NodeName, metadata: Body) -> None:
        while True:
            try:
                await self._client.patch(NODES, "", node, {"metadata": metadata})
            except NotFound:
                body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, **metadata}, "spec": {}}
                try:
                    await self._client.create(NODES, body)
                except AlreadyExists:
                    continue
            return
