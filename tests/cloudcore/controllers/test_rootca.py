from __future__ import annotations

import pytest

from cloudcore.controllers.manager import ControllerSettings
from cloudcore.security.ca import CertificateAuthority
from tests.support.controllers import cloud

AUTHORITY = CertificateAuthority.create(1_800_000_000.0)


@pytest.mark.looptime
async def test_every_namespace_has_the_authority_and_gets_it_back() -> None:
    async with cloud(ControllerSettings(authority=AUTHORITY)) as made:

        async def published(namespace: str) -> str:
            await made.settle()
            text: str = (await made.client.get("configmaps", namespace, "kube-root-ca.crt"))["data"]["ca.crt"]
            return text

        pem = AUTHORITY.certificate_pem.decode()
        assert await published("default") == pem
        await made.client.create("namespaces", {"metadata": {"name": "shop"}})
        assert await published("shop") == pem
        await made.client.patch("configmaps", "shop", "kube-root-ca.crt", {"data": {"ca.crt": "forged"}})
        assert await published("shop") == pem
        await made.client.delete("configmaps", "shop", "kube-root-ca.crt")
        assert await published("shop") == pem
        await made.client.delete("namespaces", "", "shop")
        await made.pass_time(10)
        assert "shop" not in {each["metadata"]["name"] for each in await made.client.list("namespaces")}
