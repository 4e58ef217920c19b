"""A registry of container images on loopback: one image, by tag and by digest, for those who know the password."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.dockers import BUSYBOX_IMAGE, image_archive

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class ImageRegistry:
    """What the registry holds.

    Attributes:
        port: Where it listens, on 127.0.0.1: engines take plain HTTP there.
        user: Whom it serves.
        password: Their password.
        digest: The image's.
        asked: Every request: method and path.
    """

    user: str
    password: str
    manifest: bytes
    blobs: Mapping[str, bytes]
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def tagged(self) -> str:
        """The image's name with its tag."""
        return f"{self.host}/team/app:1"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _image() -> tuple[bytes, dict[str, bytes]]:
    """Return the manifest and the blobs of an image that holds a file and nothing to run."""
    archive = image_archive(BUSYBOX_IMAGE, {"marker": os.urandom(16)}, {"Cmd": ["/none"]})
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        read = {name: files.extractfile(name).read() for name in files.getnames()}  # type: ignore[union-attr]
    config = next(content for name, content in read.items() if name not in ("layer.tar", "manifest.json"))
    layer = gzip.compress(read["layer.tar"])
    described = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
        "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": _digest(layer)}],
    }
    return json.dumps(described).encode(), {_digest(config): config, _digest(layer): layer}


class _Handler(http.server.BaseHTTPRequestHandler):
    registry: ImageRegistry

    def do_GET(self) -> None:
        registry = self.registry
        registry.asked.append(f"{self.command} {self.path}")
        token = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
        parts = self.path.split("/")
        place, what = (parts[-2], parts[-1]) if len(parts) > 3 else ("", "")
        if self.headers.get("Authorization") != f"Basic {token}":
            self._answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', "application/json")
        elif place == "manifests" and what in ("1", registry.digest):
            self._answer(200, registry.manifest, _MANIFEST)
        elif place == "blobs" and what in registry.blobs:
            self._answer(200, registry.blobs[what], "application/octet-stream")
        elif self.path == "/v2/":
            self._answer(200, b"{}", "application/json")
        else:
            self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', "application/json")

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        if kind == _MANIFEST:
            self.send_header("Docker-Content-Digest", self.registry.digest)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def image_registry(user: str = "ann", password: str = "se:cret") -> Iterator[ImageRegistry]:
    """Run a registry; it is gone, and its image with it, when the block ends."""
    manifest, blobs = _image()
    registry = ImageRegistry(user, password, manifest, blobs)
    handler = type("Handler", (_Handler,), {"registry": registry})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        registry.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
