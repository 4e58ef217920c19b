"""An enrolment endpoint played by hand: real TLS on loopback, scripted answers."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class PlayedEnrolment:
    """The endpoint.

    Attributes:
        url: Where it listens.
        requests: Bodies of the ``/enrol`` requests.
        answers: Scripted (status, body) for the next requests; empty means: sign.
        swallow: How many answers are made but lost on the way.
        authority_sent: What ``/ca.crt`` answers.
    """

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(_name("test CA"), self._key.public_key(), authority=True)
        self.authority_sent = self._certificate.public_bytes(_PEM)
        self.requests: list[dict[str, Any]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.swallow = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = self._tls(folder).wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def token(self) -> str:
        """Return a token for this endpoint's CA."""
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        return f"{hashlib.sha256(der).hexdigest()}.aGVhZGVy.Y2xhaW1z.c2lnbmF0dXJl"

    def refuse(self, status: int, reason: str, error: str) -> None:
        """Script the next answer."""
        self.answers.append((status, json.dumps({"reason": reason, "error": error}).encode()))

    def _sign(self, subject: x509.Name, public: Any, *, authority: bool = False, host: str = "") -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name("test CA"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _tls(self, folder: Path) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name("server"), key.public_key(), host="127.0.0.1")
        (folder / "server.crt").write_bytes(certificate.public_bytes(_PEM))
        plain = serialization.NoEncryption()
        (folder / "server.key").write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        return context

    def enrol(self, body: bytes) -> tuple[int, bytes]:
        """Answer a request."""
        request = json.loads(body)
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        csr = x509.load_pem_x509_csr(request["csr"].encode())
        node = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        answer = {
            "node": str(node).removeprefix("system:node:"),
            "certificate": self._sign(csr.subject, csr.public_key()).public_bytes(_PEM).decode(),
            "ca": self._certificate.public_bytes(_PEM).decode(),
            "hub": {"websocket": ["wss://127.0.0.1:10000"]},
        }
        return 200, json.dumps(answer).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(200, endpoint.authority_sent)

            def do_POST(self) -> None:
                status, content = endpoint.enrol(self.rfile.read(int(self.headers["Content-Length"])))
                if endpoint.swallow:
                    endpoint.swallow -= 1
                    self.close_connection = True
                else:
                    self.reply(status, content)

            def reply(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the tests' output clean."""

        return Handler

    @contextmanager
    def running(self) -> Iterator[PlayedEnrolment]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
