from __future__ import annotations

import base64

import pytest

from cloudcore.controllers.certificates.cleanup import JUDGED_S, PENDING_S, ends_at
from cloudcore.controllers.certificates.signing import REQUESTS
from cloudcore.security.ca import CertificateAuthority
from protocol.objects.keys import Body
from protocol.objects.times import timestamp
from tests.support.controllers import EPOCH_S, cloud
from tests.support.csrs import csr_pem, name

NOW = EPOCH_S


def a_request(*conditions: Body, certificate: str = "") -> Body:
    status = {"conditions": list(conditions), "certificate": certificate}
    return {"metadata": {"name": "r", "creationTimestamp": timestamp(NOW)}, "status": status}


def test_how_long_a_request_stays() -> None:
    assert ends_at(a_request()) == NOW + PENDING_S
    for kind in ("Approved", "Denied", "Failed"):
        judged = a_request({"type": kind, "lastUpdateTime": timestamp(NOW + 60)})
        assert ends_at(judged) == NOW + 60 + JUDGED_S
    assert ends_at(a_request({"type": "Custom"})) == NOW + PENDING_S


def test_a_certificate_that_has_ended_takes_its_request_with_it() -> None:
    made = CertificateAuthority.create(NOW - 400 * 86_400).issue_client("jane", "devs", NOW - 400 * 86_400)
    encoded = base64.b64encode(made.certificate_pem).decode()
    assert ends_at(a_request(certificate=encoded)) < NOW


@pytest.mark.looptime
async def test_a_request_that_nobody_judges_goes_after_a_day() -> None:
    async with cloud() as made:
        pem = base64.b64encode(csr_pem(name("jane", "devs"))).decode()
        spec = {"request": pem, "signerName": "example.com/mine", "usages": ["client auth"]}
        await made.client.create(REQUESTS, {"metadata": {"name": "r"}, "spec": spec})
        await made.pass_time(PENDING_S - 60)
        assert len(await made.client.list(REQUESTS)) == 1
        await made.pass_time(120)
        assert await made.client.list(REQUESTS) == []
