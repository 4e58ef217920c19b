from __future__ import annotations

from pathlib import Path

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import NotFound
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.sharedca import SECRET, share_authority
from protocol.errors import UsageError
from protocol.objects.keys import Body
from tests.support.registries import START_S, make_registry


@pytest.fixture
async def client() -> LocalClient:
    registry = make_registry()
    await bootstrap(registry)
    return LocalClient(registry)


async def fingerprint(client: LocalClient, folder: Path) -> str:
    await share_authority(client, "kube-system", folder, START_S)
    return CertificateAuthority.load(folder).fingerprint


async def test_all_replicas_have_the_authority_of_the_first(client: LocalClient, tmp_path: Path) -> None:
    first = await fingerprint(client, tmp_path / "one")
    assert await fingerprint(client, tmp_path / "two") == first
    assert await fingerprint(client, tmp_path / "one") == first
    assert (tmp_path / "two" / "ca.key").stat().st_mode & 0o077 == 0


class Late(LocalClient):
    """Sees the Secret only after having tried to make it."""

    missed = False

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        if name == SECRET and not self.missed:
            self.missed = True
            raise NotFound("not yet")
        return await super().get(resource, namespace, name)


async def test_of_two_first_replicas_one_takes_the_others(client: LocalClient, tmp_path: Path) -> None:
    first = await fingerprint(client, tmp_path / "one")
    assert await fingerprint(Late(client._registry), tmp_path / "two") == first


async def test_another_authority_in_the_folder_is_not_written_over(client: LocalClient, tmp_path: Path) -> None:
    await fingerprint(client, tmp_path / "one")
    other = CertificateAuthority.load_or_create(tmp_path / "two", START_S)
    with pytest.raises(UsageError, match="another certificate authority"):
        await fingerprint(client, tmp_path / "two")
    assert CertificateAuthority.load(tmp_path / "two").fingerprint == other.fingerprint


async def test_a_secret_that_holds_none_is_said(client: LocalClient, tmp_path: Path) -> None:
    await client.create("secrets", {"metadata": {"name": SECRET, "namespace": "kube-system"}})
    with pytest.raises(UsageError, match="holds no certificate authority"):
        await fingerprint(client, tmp_path / "one")
