from __future__ import annotations

import time
from pathlib import Path

import pytest

from cloudcore.security.ca import CertificateAuthority
from cloudcore.store.kubernetes import ApiSession, KubeconfigAccess
from cloudcore.store.kubernetes.failures import ServerUnreachable
from cloudcore.store.kubernetes.session import SessionSettings
from protocol.backoff import RetryPolicy
from tests.support.apiservers import RunningServer, serving

ONCE = RetryPolicy(max_retries=0)


async def why_not(kubeconfig: Path, hint: str = "") -> str:
    """Return what a session says that cannot reach its server."""
    async with ApiSession(KubeconfigAccess(kubeconfig), SessionSettings(retry=ONCE, hint=hint)) as session:
        with pytest.raises(ServerUnreachable) as raised:
            await session.call("GET", "version")
        with pytest.raises(ServerUnreachable) as watched:
            async with session.stream("api/v1/pods", {"watch": "1"}):
                pass
    assert watched.value.message == raised.value.message
    assert "SSLContext" not in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("hint", ["", "is it on?"])
async def test_a_kubeconfig_of_another_cluster_is_told_in_plain_words(tmp_path: Path, hint: str) -> None:
    async with serving(tmp_path) as server:
        stranger = RunningServer(
            server.registry,
            server.client,
            server.app,
            server.server,
            CertificateAuthority.create(time.time()),
            tmp_path,
        )
        message = await why_not(stranger.kubeconfig(), hint)
        assert message.startswith(f"the API server at {server.url} is not the one of the kubeconfig")
    assert "its certificate is not of the authority that the kubeconfig trusts" in message


async def test_a_certificate_without_the_name_says_which(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        path = server.kubeconfig()
        path.write_text(path.read_text().replace('"server":', '"tls-server-name": "other.example", "server":'))
        message = await why_not(path)
    assert "its certificate is not good: " in message
    assert "other.example" in message


async def test_a_closed_port_is_told_without_the_librarys_objects(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        path = server.kubeconfig()
    message = await why_not(path)
    assert message.startswith("no API server answers at https://127.0.0.1:")
