"""The authority of a cloud that runs beside a Kubernetes cluster: one for all replicas, kept in a Secret.

Whoever may read the Secrets of that namespace can make nodes: it is the cluster's to guard, like the authority of the
cluster itself. A folder's copy is what the daemon works with; the Secret is what counts.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import structlog

from cloudcore.client import Client
from cloudcore.errors import AlreadyExists, NotFound
from cloudcore.security.ca import CertificateAuthority
from protocol.errors import UsageError
from protocol.files import PUBLIC, make_private_folder, write_file
from protocol.objects.keys import Body
from protocol.objects.resources import SECRETS

log = structlog.get_logger(__name__)

SECRET: Final = "cloudcore-ca"
_FILES: Final = ("ca.crt", "ca.key")


async def share_authority(client: Client, namespace: str, folder: Path, now: float) -> None:
    """Put the authority that all replicas share into ``folder``; the first replica makes it.

    Args:
        client: Reads and writes the Secret.
        namespace: Where the Secret is.
        folder: The folder of the keys, ``D/pki``.
        now: Seconds since the epoch.

    Raises:
        UsageError: The folder has another authority already, or cannot be written.
        ApiError: The Secret cannot be read or made.
    """
    try:
        secret = await _secret(client, namespace, folder, now)
        held = {name: base64.b64decode(secret["data"][name]) for name in _FILES}
        make_private_folder(folder)
        certificate = folder / "ca.crt"
        if certificate.exists() and certificate.read_bytes() != held["ca.crt"]:
            raise UsageError(
                f"{folder} has another certificate authority than the cluster (Secret {namespace}/{SECRET}): "
                "nodes of one would be strangers to the other; use another --data-dir, or move that folder away"
            )
        write_file(folder / "ca.key", held["ca.key"])
        write_file(certificate, held["ca.crt"], mode=PUBLIC)
    except OSError as exc:
        raise UsageError(f"{folder} cannot be written: {exc.strerror or exc}") from exc
    except (KeyError, TypeError, ValueError) as exc:
        raise UsageError(f"Secret {namespace}/{SECRET} holds no certificate authority: {exc}") from exc


async def _secret(client: Client, namespace: str, folder: Path, now: float) -> Body:
    try:
        return await client.get(SECRETS, namespace, SECRET)
    except NotFound:
        CertificateAuthority.load_or_create(folder, now)
        data = {name: base64.b64encode((folder / name).read_bytes()).decode("ascii") for name in _FILES}
        body = {"metadata": {"name": SECRET, "namespace": namespace}, "type": "Opaque", "data": data}
        try:
            made = await client.create(SECRETS, body)
        except AlreadyExists:
            # Another replica was faster, and no node knows the authority that was just made here.
            for name in _FILES:
                (folder / name).unlink()
            return await client.get(SECRETS, namespace, SECRET)
        log.info("the certificate authority is kept in the cluster", kept_as=f"{namespace}/{SECRET}")
        return made
