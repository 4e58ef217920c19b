from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from cloudcore.errors import StorageUnavailable, Unauthorized
from cloudcore.store.kubernetes import ApiSession, InClusterAccess, KubeconfigAccess, SessionSettings
from cloudcore.store.kubernetes.access import Grant
from protocol.errors import UsageError
from tests.support.apiservers import RunningServer, serving
from tests.support.kubernetesstores import AT_ONCE, FixedAccess


def document(user: Mapping[str, object], *contexts: str) -> dict[str, object]:
    names = contexts or ("only",)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.test:1"}} for name in names],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in names],
        "current-context": names[0],
    }


async def test_a_context_chooses_the_cluster_and_a_token_comes_from_its_file(tmp_path: Path) -> None:
    token, path = tmp_path / "token", tmp_path / "config"
    token.write_text("first")
    path.write_text(yaml.safe_dump(document({"tokenFile": str(token)}, "here", "there")))
    grant = await KubeconfigAccess(path).grant()
    assert (grant.server, grant.authorization, grant.tls) == ("http://here.test:1", "Bearer first", None)
    token.write_text("second")
    other = await KubeconfigAccess(path, "there").grant()
    assert (other.server, other.authorization) == ("http://there.test:1", "Bearer second")


async def test_a_plugin_gives_a_token(tmp_path: Path) -> None:
    plugin, path = tmp_path / "plugin", tmp_path / "config"
    minted = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"minted"}}'
    plugin.write_text(f"#!/bin/sh\necho '{minted}'\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    path.write_text(yaml.safe_dump(document(user)))
    assert (await KubeconfigAccess(path).grant()).authorization == "Bearer minted"


NO_ADDRESS = yaml.safe_dump(document({}, "no host"))


@pytest.mark.parametrize(
    "text", ["", "[", "a: [", "a: b", "clusters: []\ncontexts: []\ncurrent-context: x\n", NO_ADDRESS]
)
async def test_a_file_that_is_no_kubeconfig_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be used as a kubeconfig") as raised:
        await KubeconfigAccess(path).grant()
    assert "\n" not in str(raised.value)
    with pytest.raises(UsageError, match="is not there"):
        await KubeconfigAccess(tmp_path / "nowhere").grant()


async def test_outside_of_a_pod_there_is_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="no --kubeconfig"):
        await InClusterAccess().grant()


class Rotating:
    """Credentials that the server does not take until they are refreshed; or that cannot be refreshed."""

    def __init__(self, server: RunningServer, *, breaks: bool = False) -> None:
        self._server = server
        self._breaks = breaks
        self.asked = 0

    async def grant(self) -> Grant:
        self.asked += 1
        if self.asked == 1:
            return Grant(self._server.url, self._server.anonymous_tls(), authorization="Bearer old")
        if self._breaks:
            raise UsageError("the plugin fails")
        return Grant(self._server.url, self._server.tls())


async def test_credentials_are_refreshed_once_when_the_server_refuses_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        rotating = Rotating(server)
        async with ApiSession(rotating, SessionSettings(retry=AT_ONCE)) as session:
            assert (await session.call("GET", "api/v1/nodes"))["kind"] == "NodeList"
        assert rotating.asked == 2
        failing = Rotating(server, breaks=True)
        async with ApiSession(failing, SessionSettings(retry=AT_ONCE)) as session:
            with pytest.raises(Unauthorized, match="the plugin fails"):
                await session.call("GET", "api/v1/nodes")


async def test_nobody_answers(unused_tcp_port: int) -> None:
    access = FixedAccess(Grant(f"http://127.0.0.1:{unused_tcp_port}", None))
    async with ApiSession(access, SessionSettings(retry=AT_ONCE, hint="is it on?")) as session:
        with pytest.raises(StorageUnavailable, match=r"no API server answers at .*: is it on\?"):
            await session.call("POST", "api/v1/nodes", {})
