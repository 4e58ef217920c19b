"""What the metaserver proves itself with, and what the device's administrator comes in with.

::

    <data folder>/metaserver/   0700; the files 0600
      ca.key ca.crt             the device's own authority (edgecore/metaserver/authority.py)
      server.pem                the serving key and certificate
      names.json                the names that certificate is for
      admin.token               the administrator's bearer token
      kubeconfig                for kubectl on this device: the running metaserver's address, and that token

Whoever may read the folder may read everything on the device anyway.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgecore.accounts.ledger import digest_of
from protocol.errors import UsageError
from protocol.files import make_private_folder, write_file

SERVICE_NAMES: Final = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
ADMIN_PREFIX: Final = "edge-admin."


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is in the folder.

    Attributes:
        folder: Where it is.
        context: For serving.
        authority_pem: The authority's certificate.
        administrator: SHA-256 of the administrator's token, hex.
    """

    folder: Path
    context: ssl.SSLContext
    authority_pem: str
    administrator: str

    def write_kubeconfig(self, server: str) -> None:
        """Write the administrator's kubeconfig for the metaserver at the URL ``server``.

        Raises:
            OSError: The disk refuses.
        """
        token = (self.folder / "admin.token").read_text()
        write_file(self.folder / "kubeconfig", json.dumps(_kubeconfig(server, self.authority_pem, token)).encode())


async def credentials(folder: Path, addresses: Sequence[str]) -> Credentials:
    """Return the metaserver's credentials, made where they are missing or not for one of ``addresses``.

    Raises:
        UsageError: They cannot be made or read.
    """
    names = sorted({*SERVICE_NAMES, socket.gethostname().lower(), *addresses})
    try:
        if not _is_made_for(folder, names):
            await _make(folder, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(folder / "server.pem")
        return Credentials(folder, context, (folder / "ca.crt").read_text(), digest_of(_admin_token(folder)))
    except (OSError, ValueError) as error:
        raise UsageError(f"the metaserver's credentials in {folder} cannot be used: {error}") from error


def _is_made_for(folder: Path, names: Sequence[str]) -> bool:
    try:
        made_for = json.loads((folder / "names.json").read_bytes())
    except (OSError, ValueError):
        return False
    there = all((folder / name).exists() for name in ("ca.crt", "ca.key", "server.pem"))
    return there and isinstance(made_for, list) and set(names) <= set(made_for)


async def _make(folder: Path, names: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edgecore.metaserver.authority",
        str(folder),
        *names,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    if process.returncode != 0:
        why = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise UsageError(f"the metaserver's certificate cannot be made: {why}")
    write_file(folder / "names.json", json.dumps(list(names)).encode())


def _admin_token(folder: Path) -> str:
    path = folder / "admin.token"
    if not path.exists():
        make_private_folder(folder)
        write_file(path, (ADMIN_PREFIX + secrets.token_urlsafe(32)).encode())
    return path.read_text()


def _kubeconfig(server: str, authority_pem: str, token: str) -> dict[str, Any]:
    authority = base64.b64encode(authority_pem.encode()).decode()
    name = "device"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "administrator"}}],
        "current-context": name,
    }
