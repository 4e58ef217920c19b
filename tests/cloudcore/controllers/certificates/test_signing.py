from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509

from cloudcore.controllers.certificates.signing import REQUESTS
from cloudcore.controllers.manager import ControllerSettings
from cloudcore.security.ca import CertificateAuthority
from protocol.objects.keys import Body
from tests.support.controllers import EPOCH_S, Cloud, cloud
from tests.support.csrs import csr_pem, name

AUTHORITY = CertificateAuthority.create(EPOCH_S)
CLIENT = "kubernetes.io/kube-apiserver-client"


def a_request(subject: x509.Name, signer: str = CLIENT, **spec: Any) -> Body:
    pem = base64.b64encode(csr_pem(subject)).decode()
    return {
        "metadata": {"name": "r"},
        "spec": {"request": pem, "signerName": signer, "usages": ["client auth"], **spec},
    }


async def judged(made: Cloud, request: Body, judgement: str = "Approved") -> Body:
    await made.client.create(REQUESTS, request)
    await made.settle()
    waiting = await made.client.get(REQUESTS, "", "r")
    assert not waiting.get("status")
    status = {"conditions": [{"type": judgement, "status": "True", "reason": "Ok"}]}
    await made.client.update(REQUESTS, {**waiting, "status": status}, subresource="approval")
    await made.settle()
    body: Body = (await made.client.get(REQUESTS, "", "r"))["status"]
    return body


@pytest.mark.looptime
async def test_an_approved_request_is_signed_with_its_subject_and_for_its_time() -> None:
    async with cloud(ControllerSettings(authority=AUTHORITY)) as made:
        status = await judged(made, a_request(name("jane", "devs"), expirationSeconds=3600))
        certificate = x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))
        assert AUTHORITY.signed(certificate)
        assert certificate.subject == name("jane", "devs")
        assert certificate.not_valid_after_utc.timestamp() == pytest.approx(EPOCH_S + 3600, abs=60)


@pytest.mark.looptime
async def test_a_denied_one_is_not() -> None:
    async with cloud(ControllerSettings(authority=AUTHORITY)) as made:
        assert "certificate" not in await judged(made, a_request(name("jane", "devs")), "Denied")


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("signer", "usages", "why"),
    [
        ("kubernetes.io/kube-apiserver-client-kubelet", ["client auth"], "when they join"),
        ("kubernetes.io/kubelet-serving", ["server auth"], "when they join"),
        (CLIENT, ["client auth", "server auth"], "not permitted"),
    ],
)
async def test_what_this_cloud_does_not_sign_fails_visibly(signer: str, usages: list[str], why: str) -> None:
    async with cloud(ControllerSettings(authority=AUTHORITY)) as made:
        status = await judged(made, a_request(name("system:node:edge-1"), signer, usages=usages))
        failure = status["conditions"][-1]
        assert (failure["type"], failure["reason"]) == ("Failed", "SignerValidationFailure")
        assert why in failure["message"]
        assert "certificate" not in status


@pytest.mark.looptime
async def test_other_signers_requests_are_left_to_them() -> None:
    async with cloud(ControllerSettings(authority=AUTHORITY)) as made:
        status = await judged(made, a_request(name("jane", "devs"), "example.com/mine"))
        assert [condition["type"] for condition in status["conditions"]] == ["Approved"]
