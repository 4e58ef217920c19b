"""Devices that become nodes, and those that must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.identity import IdentityError, Pins
from cloudcore.security.joining import Joined, Joining, JoinRequest
from cloudcore.security.nodelabels import LabelRefused
from cloudcore.security.signer import CsrRefused
from cloudcore.security.tokens import TokenError
from cloudcore.security.tokenstore import create_token
from cloudcore.store.memory import MemoryStore
from protocol.objects.wellknown import RUNTIMES
from tests.support.csrs import node_csr

START = 1_790_000_000.0


@dataclass
class Office:
    """An authority, a store, and a clock to turn."""

    client: LocalClient
    ca: CertificateAuthority
    now: float = START

    def __post_init__(self) -> None:
        self.joining = Joining(self.client, self.ca, lambda: self.now)

    async def token(self, node: str = "edge-1", ttl_s: float = 3600) -> str:
        return await create_token(self.client, self.ca, node, ttl_s, self.now)

    async def join(self, token: str, csr: bytes, *, instance: str = "i-1", **labels: str) -> Joined:
        return await self.joining.join(JoinRequest(token, csr, instance, labels, ("process",)))

    async def pins(self, node: str = "edge-1") -> Pins:
        return Pins.of(await self.client.get("nodes", "", node))

    async def tokens(self) -> int:
        return len(await self.client.list("secrets", "kube-system"))


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    store = MemoryStore()
    registry = Registry(store, clock=lambda: START)
    await bootstrap(registry)
    yield Office(LocalClient(registry), CertificateAuthority.create(START))
    await store.close()


def fingerprint(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


async def refusal(office: Office, token: str, csr: bytes) -> str:
    with pytest.raises(TokenError) as caught:
        await office.join(token, csr)
    assert "\n" not in str(caught.value)
    return caught.value.reason


async def test_a_device_becomes_a_node(office: Office) -> None:
    joined = await office.join(await office.token(), node_csr("edge-1"), site="hall-3")
    assert joined.node == "edge-1"
    node = await office.client.get("nodes", "", "edge-1")
    assert Pins.of(node) == Pins("i-1", fingerprint(joined.certificate_pem))
    assert node["metadata"]["annotations"][RUNTIMES] == "process"
    labels = node["metadata"]["labels"]
    assert labels["site"] == "hall-3"
    assert labels["kubernetes.io/hostname"] == "edge-1"
    assert labels["node-role.kubernetes.io/edge"] == ""


async def test_a_lost_reply_does_not_burn_the_token(office: Office) -> None:
    token, key = await office.token(), ec.generate_private_key(ec.SECP256R1())
    first = await office.join(token, node_csr("edge-1", key))
    again = await office.join(token, node_csr("edge-1", key))
    assert again == first
    assert (await office.pins()).certificate == fingerprint(first.certificate_pem)


async def test_a_token_serves_one_key(office: Office) -> None:
    token = await office.token()
    first = await office.join(token, node_csr("edge-1"))
    assert await refusal(office, token, node_csr("edge-1")) == "TokenUsed"
    assert (await office.pins()).certificate == fingerprint(first.certificate_pem)


async def test_of_two_keys_that_race_for_a_token_one_wins(office: Office) -> None:
    token = await office.token()
    attempts = (office.join(token, node_csr("edge-1"), instance=f"i-{n}") for n in range(8))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Joined)]
    assert all(isinstance(outcome, TokenError) for outcome in outcomes if outcome is not winner)
    assert (await office.pins()).certificate == fingerprint(winner.certificate_pem)


async def test_an_expired_token_is_refused_even_to_its_key(office: Office) -> None:
    token, key = await office.token(ttl_s=60), ec.generate_private_key(ec.SECP256R1())
    await office.join(token, node_csr("edge-1", key))
    office.now += 61
    assert await refusal(office, token, node_csr("edge-1", key)) == "TokenExpired"


async def test_a_token_of_another_cloud_or_revoked_is_refused(office: Office) -> None:
    token = await office.token()
    foreign = Office(office.client, CertificateAuthority.create(START))
    assert await refusal(foreign, token, node_csr("edge-1")) == "TokenInvalid"
    for secret in await office.client.list("secrets", "kube-system"):
        await office.client.delete("secrets", "kube-system", secret["metadata"]["name"])
    assert await refusal(office, token, node_csr("edge-1")) == "TokenUnknown"


async def test_what_is_refused_does_not_use_the_token_up(office: Office) -> None:
    token = await office.token()
    with pytest.raises(CsrRefused):
        await office.join(token, node_csr("edge-2"))
    with pytest.raises(LabelRefused):
        await office.join(token, node_csr("edge-1"), **{"node-role.kubernetes.io/control-plane": ""})
    assert (await office.join(token, node_csr("edge-1"))).node == "edge-1"


async def test_joining_again_replaces_the_pins_and_the_older_join_cannot_undo_it(office: Office) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    first_token = await office.token()
    await office.join(first_token, node_csr("edge-1", key), instance="old")
    second = await office.join(await office.token(), node_csr("edge-1"), instance="new")
    assert await refusal(office, first_token, node_csr("edge-1", key)) == "TokenUnknown"
    assert await office.pins() == Pins("new", fingerprint(second.certificate_pem))


async def test_a_join_keeps_what_others_wrote_on_the_node(office: Office) -> None:
    await office.join(await office.token(), node_csr("edge-1"))
    metadata = {"labels": {"by-hand": "yes"}, "annotations": {"note": "x"}}
    await office.client.patch("nodes", "", "edge-1", {"metadata": metadata})
    uid = (await office.client.get("nodes", "", "edge-1"))["metadata"]["uid"]
    await office.join(await office.token(), node_csr("edge-1"), instance="new")
    node = await office.client.get("nodes", "", "edge-1")
    assert node["metadata"]["uid"] == uid
    assert node["metadata"]["labels"]["by-hand"] == "yes"
    assert node["metadata"]["annotations"]["note"] == "x"


async def test_expired_tokens_are_swept_and_others_stay(office: Office) -> None:
    await office.token("edge-1", ttl_s=60)
    await office.token("edge-2", ttl_s=7200)
    office.now += 3600
    assert await office.joining.tokens.sweep(office.now) == 1
    assert await office.tokens() == 1


async def test_the_secret_does_not_hold_the_token(office: Office) -> None:
    token = await office.token()
    (secret,) = await office.client.list("secrets", "kube-system")
    assert not any(part in str(secret) for part in token.split(".")[1:])


async def test_a_token_for_an_impossible_node_is_not_made(office: Office) -> None:
    with pytest.raises(IdentityError):
        await office.token("Not A Node")
    assert await office.tokens() == 0
