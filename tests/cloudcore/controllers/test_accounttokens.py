from __future__ import annotations

import base64
from typing import Any

import pytest

from cloudcore.controllers.manager import ControllerSettings
from cloudcore.errors import NotFound
from cloudcore.security.accounttokens import TokenIssuer, read
from cloudcore.security.ca import CertificateAuthority
from protocol.objects.keys import Body
from tests.support.accounttokens import KEYS
from tests.support.controllers import cloud

SETTINGS = ControllerSettings(authority=CertificateAuthority.create(1_800_000_000.0), tokens=TokenIssuer(KEYS))


def a_secret(account: str, name: str = "s", **annotations: Any) -> Body:
    annotated = {"kubernetes.io/service-account.name": account, **annotations}
    metadata = {"name": name, "namespace": "default", "annotations": annotated}
    return {"metadata": metadata, "type": "kubernetes.io/service-account-token"}


@pytest.mark.looptime
async def test_a_secret_gets_the_token_of_its_account_and_goes_with_it() -> None:
    async with cloud(SETTINGS) as made:
        account = await made.client.create("serviceaccounts", {"metadata": {"name": "bot", "namespace": "default"}})
        await made.client.create("secrets", a_secret("bot"))
        await made.settle()
        secret = await made.client.get("secrets", "default", "s")
        data = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
        claims = read(TokenIssuer(KEYS), data["token"])
        assert (claims.account.uid, claims.expires_at) == (account["metadata"]["uid"], None)
        assert data["namespace"] == "default"
        assert data["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
        annotations = secret["metadata"]["annotations"]
        assert annotations["kubernetes.io/service-account.uid"] == account["metadata"]["uid"]
        await made.client.delete("serviceaccounts", "default", "bot")
        await made.settle()
        with pytest.raises(NotFound):
            await made.client.get("secrets", "default", "s")


@pytest.mark.looptime
async def test_a_secret_of_an_account_that_is_not_there_or_was_another_goes_at_once() -> None:
    async with cloud(SETTINGS) as made:
        await made.client.create("secrets", a_secret("none"))
        await made.client.create("secrets", a_secret("default", "t", **{"kubernetes.io/service-account.uid": "old"}))
        plain = {"metadata": {"name": "plain", "namespace": "default"}, "stringData": {"a": "b"}}
        await made.client.create("secrets", plain)
        await made.settle()
        assert [each["metadata"]["name"] for each in await made.client.list("secrets", "default")] == ["plain"]
