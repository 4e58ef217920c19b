"""The durable half of enrolment tokens: one Secret per token, in ``kube-system``.

The Secret does not hold the token, only that it exists and who redeemed it: whoever may read Secrets still cannot
enrol with one. Redeeming is one compare-and-swap, so of two keys that race for a token one loses.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Final

import structlog

from cloudcore.client import Client
from cloudcore.errors import Conflict, NotFound
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.identity import check_node_name
from cloudcore.security.tokens import Claims, Redemption, TokenError, judge, mint
from protocol.objects.keys import Body, NodeName
from protocol.objects.resources import SECRETS
from protocol.objects.times import parse_timestamp, timestamp

log = structlog.get_logger(__name__)

NAMESPACE: Final = "kube-system"
SECRET_TYPE: Final = "bootstrap.aiokubeedge.io/token"
NODE_LABEL: Final = "edge.aiokubeedge.io/token-node"
EXPIRES: Final = "edge.aiokubeedge.io/token-expires"


async def create_token(
    client: Client, ca: CertificateAuthority, node: str, ttl_s: float, now: float, *, namespace: str = NAMESPACE
) -> str:
    """Make a token that enrols ``node`` once within ``ttl_s`` seconds, and return its text.

    Args:
        client: Where the token's Secret is created.
        ca: The cluster's authority.
        node: The node's name.
        ttl_s: Lifetime, seconds, at least 1.
        now: Seconds since the epoch.
        namespace: Where the Secret goes.

    Raises:
        IdentityError: ``node`` is no node name.
        ApiError: The Secret could not be created.
    """
    claims = Claims(secrets.token_hex(16), check_node_name(node), now, now + max(1.0, ttl_s))
    await client.create(SECRETS, _secret(claims, namespace))
    return mint(claims, key=ca.token_key, ca_fingerprint=ca.fingerprint)


class TokenStore:
    """Redeems tokens.

    Args:
        client: Reads and writes the Secrets.
        namespace: Where they are.
    """

    def __init__(self, client: Client, namespace: str = NAMESPACE) -> None:
        self._client = client
        self._namespace = namespace

    async def redeem(self, claims: Claims, key: str, sign: Callable[[], bytes]) -> str:
        """Return the certificate (PEM) of public key ``key``, signing one if this is the first time.

        Args:
            claims: The token, verified.
            key: SHA-256 of the public key, hex.
            sign: Signs the certificate.

        Raises:
            TokenError: ``TokenUnknown`` or ``TokenUsed``.
            ApiError: Nothing was stored.
        """
        while True:
            secret = await self._read(claims)
            certificate = judge(claims, _redemption(secret), key)
            if certificate is not None:
                return certificate
            certificate = sign().decode("ascii")
            secret["data"] = {**secret.get("data", {}), "key": _b64(key), "certificate": _b64(certificate)}
            try:
                await self._client.update(SECRETS, secret)
            except Conflict:
                continue  # somebody else was faster: see who
            return certificate

    async def retire(self, node: NodeName, *, but: str) -> None:
        """Remove the redeemed tokens of ``node`` other than ``but``: repeating an older join must not undo a newer."""
        for secret in await self._client.list(SECRETS, self._namespace, label_selector=f"{NODE_LABEL}={node}"):
            if _redemption(secret) is not None and secret["metadata"]["name"] != _name(but):
                await self._remove(secret)

    async def sweep(self, now: float) -> int:
        """Remove tokens that have expired at ``now``; return how many."""
        swept = 0
        for secret in await self._client.list(SECRETS, self._namespace, label_selector=NODE_LABEL):
            if secret.get("type") == SECRET_TYPE and _expired(secret, now):
                await self._remove(secret)
                swept += 1
        return swept

    async def _read(self, claims: Claims) -> Body:
        try:
            return await self._client.get(SECRETS, self._namespace, _name(claims.id))
        except NotFound as exc:
            raise TokenError("TokenUnknown", "the token was revoked, or superseded by a later join") from exc

    async def _remove(self, secret: Body) -> None:
        metadata = secret["metadata"]
        try:
            await self._client.delete(SECRETS, self._namespace, metadata["name"], uid=metadata.get("uid"))
        except (NotFound, Conflict):
            log.debug("token is gone already", token=metadata["name"])


def _secret(claims: Claims, namespace: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": _name(claims.id),
            "namespace": namespace,
            "labels": {NODE_LABEL: claims.node},
            "annotations": {EXPIRES: timestamp(claims.expires_at)},
        },
        "type": SECRET_TYPE,
    }


def _name(token_id: str) -> str:
    return f"enrolment-token-{token_id}"


def _redemption(secret: Body) -> Redemption | None:
    data = secret.get("data") or {}
    if "key" not in data:
        return None
    return Redemption(_text(data["key"]), _text(data["certificate"]))


def _expired(secret: Body, now: float) -> bool:
    try:
        return parse_timestamp(secret["metadata"]["annotations"][EXPIRES]) < now
    except (KeyError, TypeError, ValueError):
        return False


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
