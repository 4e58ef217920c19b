"""Makes a device a node: key, instance id and certificate (``docs/protocol.md``, "Enrolment").

Nothing is trusted before the CA certificate's fingerprint has matched the token. The key and the instance id are
written first and used again by the next attempt, so that a lost reply costs nothing: the cloud gives the same key
the same certificate until the token expires.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edgecore.node.facts import architecture, operating_system
from edgecore.node.identity import DataFolder, Identity, own_instance, save_identity, write_private
from edgecore.node.timefloor import NO_CHECK_TIME
from protocol.errors import AiokubeedgeError, UsageError
from protocol.objects.keys import NodeName
from protocol.objects.wellknown import ARCH, NODE_USER_PREFIX, NODES_GROUP, OS

TIMEOUT_S: Final = 10.0
ANSWER_LIMIT_BYTES: Final = 1 << 20
_TOKEN = re.compile(r"[0-9a-f]{64}(\.[A-Za-z0-9_-]+){3}")
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

_ADVICE: Final = {
    "TokenExpired": "the token has expired: create another with `cloudcore token create`",
    "TokenUsed": "the token has been used by another device: create another with `cloudcore token create`",
    "TokenUnknown": "the token was revoked or superseded: create another with `cloudcore token create`",
    "TokenInvalid": "the token is not one of this cloud's",
    "TokenMalformed": "the token is malformed: copy all of it",
    "CsrRefused": "the token is for another node name",
}


class JoinRefused(AiokubeedgeError):
    """The cloud did not take this device, or could not be trusted. One line."""


class CloudUnreachable(AiokubeedgeError):
    """No answer came. Joining again with the same token is safe."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for.

    Attributes:
        server: ``https://HOST:PORT`` of the enrolment endpoint.
        token: The token.
        node: The node's name.
        labels: Labels for the Node.
        runtimes: Names of the runtimes offered, the default one first.
    """

    server: str
    token: str
    node: NodeName
    labels: Mapping[str, str]
    runtimes: Sequence[str] = ("process",)


def join(folder: DataFolder, request: Request) -> Identity:
    """Join and store the identity.

    Raises:
        UsageError: The request cannot be right, or the folder cannot be written.
        JoinRefused: The cloud refused, or is not the one the token is for.
        CloudUnreachable: It did not answer.
    """
    host, port = _address(request.server)
    fingerprint = _check(request)
    folder.make()
    authority = _fetch_authority(host, port, fingerprint)
    try:
        key = _own_key(folder)
        instance = own_instance(folder)
        answer = _enrol(host, port, authority, _body(request, key, instance))
        identity = _identity(request, instance, answer)
        write_private(folder.authority, answer["ca"].encode())
        write_private(folder.certificate, answer["certificate"].encode())
        save_identity(folder, identity)
    except OSError as error:
        raise UsageError(f"cannot write to {folder.root}: {error}") from error
    return identity


def _address(server: str) -> tuple[str, int]:
    try:
        parts = urlsplit(server)
        port = parts.port or 10002
    except ValueError as error:
        raise UsageError(f"--server {server!r}: {error}") from error
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
        raise UsageError(f"--server {server!r}: write https://HOST:10002")
    return parts.hostname, port


def _check(request: Request) -> str:
    """Check what can be checked without the cloud and return the CA's fingerprint."""
    if not _NODE_NAME.fullmatch(request.node):
        raise UsageError(f"--node-name {request.node!r}: small letters, digits, '-' and '.', 253 characters at most")
    if not _TOKEN.fullmatch(request.token):
        raise UsageError("the token is malformed: it is 64 hex digits and three more parts, separated by dots")
    return request.token[:64]


def _fetch_authority(host: str, port: int, fingerprint: str) -> bytes:
    """Return the CA certificate (PEM), whose fingerprint is the token's."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    status, content, _ = _exchange(host, port, unverified, "GET", "/ca.crt")
    if status != 200:
        raise JoinRefused(f"https://{host}:{port} is no enrolment endpoint (GET /ca.crt: HTTP {status})")
    try:
        certificate = x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise JoinRefused(f"https://{host}:{port} is no enrolment endpoint: /ca.crt is not a certificate") from error
    if hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest() != fingerprint:
        raise JoinRefused(f"https://{host}:{port} is not the cloud the token is for: its CA has another fingerprint")
    return certificate.public_bytes(serialization.Encoding.PEM)


def _own_key(folder: DataFolder) -> ec.EllipticCurvePrivateKey:
    """Return the key of an earlier attempt, or a new one."""
    if folder.key.exists():
        try:
            key = serialization.load_pem_private_key(folder.key.read_bytes(), password=None)
        except ValueError as error:
            raise UsageError(f"{folder.key} is not a private key: remove it to join with a new one") from error
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(
        folder.key,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return key


def _body(request: Request, key: ec.EllipticCurvePrivateKey, instance: str) -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, NODE_USER_PREFIX + request.node),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, NODES_GROUP),
        ]
    )
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    defaults = {OS: operating_system(), ARCH: architecture()}
    return json.dumps(
        {
            "token": request.token,
            "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
            "instanceId": instance,
            "labels": {**defaults, **request.labels},
            "runtimes": list(request.runtimes),
        }
    ).encode()


def _enrol(host: str, port: int, authority: bytes, body: bytes) -> Mapping[str, Any]:
    verified = ssl.create_default_context(cadata=authority.decode())
    verified.verify_flags |= NO_CHECK_TIME  # the token vouches for the authority; the device's clock may be years off
    status, content, retry_after = _exchange(host, port, verified, "POST", "/enrol", body)
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise JoinRefused(f"https://{host}:{port}/enrol answered HTTP {status} with something that is not JSON")
    if status == 200:
        return answer
    reason, text = str(answer.get("reason", "")), str(answer.get("error", f"HTTP {status}"))
    if status in (429, 503):
        raise CloudUnreachable(f"the cloud cannot enrol just now ({text}): try again in {retry_after or 'a few'} s")
    advice = _ADVICE.get(reason)
    raise JoinRefused(f"{advice} ({text})" if advice else text)


def _exchange(
    host: str, port: int, tls: ssl.SSLContext, method: str, path: str, body: bytes | None = None
) -> tuple[int, bytes, str]:
    """Return status, body and Retry-After of one HTTPS request."""
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=tls)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        content = response.read(ANSWER_LIMIT_BYTES + 1)
        if len(content) > ANSWER_LIMIT_BYTES:
            raise JoinRefused(f"https://{host}:{port}{path} answered with more than {ANSWER_LIMIT_BYTES} bytes")
        return response.status, content, response.getheader("Retry-After", "")
    except ssl.SSLCertVerificationError as error:
        raise JoinRefused(f"https://{host}:{port} has no valid certificate: {error.verify_message}") from error
    except (OSError, http.client.HTTPException) as error:
        raise CloudUnreachable(f"no answer from https://{host}:{port}: {error or type(error).__name__}") from error
    finally:
        connection.close()


def _identity(request: Request, instance: str, answer: Mapping[str, Any]) -> Identity:
    """Check the answer's shape and return the identity it makes."""
    hub = answer.get("hub")
    texts = [answer.get(name) for name in ("node", "certificate", "ca")]
    if not all(isinstance(text, str) for text in texts) or not isinstance(hub, dict):
        raise JoinRefused("the cloud's answer is incomplete: is it another version?")
    if answer["node"] != request.node:
        raise JoinRefused(f"the cloud answered for node {answer['node']!r}, not {request.node!r}")
    return Identity(
        node=request.node,
        instance=instance,
        server=request.server,
        hub={transport: tuple(map(str, urls)) for transport, urls in hub.items() if isinstance(urls, list)},
        runtimes=tuple(request.runtimes),
        labels=dict(request.labels),
    )
