from __future__ import annotations

import asyncio
import json
import ssl
import stat
from pathlib import Path

import pytest

from edgecore.metaserver.credentials import ADMIN_PREFIX, Credentials, credentials
from protocol.errors import UsageError


async def trusted(made: Credentials, host: str, authority_pem: str) -> bool:
    """Tell whether a client that trusts ``authority_pem`` takes the server for ``host``."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=made.context)
    client = ssl.create_default_context(cadata=authority_pem)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host)
        writer.close()
    except ssl.SSLError:
        return False
    finally:
        server.close()
    return True


async def test_pods_trust_the_device_under_the_names_it_serves_and_no_others(tmp_path: Path) -> None:
    made = await credentials(tmp_path / "m", ["127.0.0.1"])
    assert await trusted(made, "127.0.0.1", made.authority_pem)
    assert await trusted(made, "kubernetes.default.svc", made.authority_pem)
    assert not await trusted(made, "cloud.example", made.authority_pem)
    assert not await trusted(made, "172.17.0.1", made.authority_pem)

    again = await credentials(tmp_path / "m", ["127.0.0.1", "172.17.0.1"])
    assert (again.authority_pem, again.administrator) == (made.authority_pem, made.administrator)
    assert await trusted(again, "172.17.0.1", made.authority_pem)
    before = (tmp_path / "m" / "server.pem").read_bytes()
    await credentials(tmp_path / "m", ["127.0.0.1"])
    assert (tmp_path / "m" / "server.pem").read_bytes() == before

    again.write_kubeconfig("https://127.0.0.1:10550")
    config = json.loads((tmp_path / "m" / "kubeconfig").read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:10550"
    assert config["users"][0]["user"]["token"].startswith(ADMIN_PREFIX)
    for path in (tmp_path / "m").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o700


async def test_a_folder_that_cannot_be_used_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("a file")
    with pytest.raises(UsageError, match="metaserver"):
        await credentials(tmp_path / "m", ["127.0.0.1"])
