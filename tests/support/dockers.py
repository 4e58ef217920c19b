"""A Docker Engine of the tests' own: private socket, folders and bridge, and images made here instead of pulled."""

from __future__ import annotations

import asyncio
import hashlib
import io
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.docker.engine import Engine
from edgecore.pods.runtimes.docker.settings import DockerSettings
from tests.support.requirements import is_required
from tests.support.waiting import eventually

WEB_IMAGE = "nginx:alpine"
"""By this name the seed's manifest asks for it: here it is busybox serving a page at port 80."""
PAGE = "served from the edge\n"
BUSYBOX_IMAGE = "registry.test/web:1"
BARE_IMAGE = "image:latest"
"""Has neither an entry point nor a command."""
_BUSYBOX_PLACES = ("/bin/busybox", "/usr/bin/busybox")
_APPLETS = ("sh", "cat", "echo", "env", "httpd", "id", "ls", "mkfifo", "ps", "sleep", "usleep", "wget", "dd", "grep")


@dataclass
class DockerEngine:
    """A running dockerd.

    Attributes:
        folder: All it has on disk.
        bridge: Its network device.
    """

    folder: Path
    bridge: str
    network: ipaddress.IPv4Network
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def engine(self, owner: str = "nobody") -> Engine:
        return Engine(self.host, owner, 60.0)

    def settings(self, root: Path, **fields: Any) -> DockerSettings:
        return DockerSettings(host=self.host, owner=str(root), root=root, **fields)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        flags = {
            "host": self.host,
            "data-root": self.folder / "data",
            "exec-root": self.folder / "exec",
            "pidfile": self.folder / "docker.pid",
            "bridge": self.bridge,
            "iptables": "false",
            "ip6tables": "false",
            "ip-masq": "false",
            "live-restore": "true",
            "shutdown-timeout": "1",
        }
        argv = ["dockerd", *(f"--{name}={value}" for name, value in flags.items())]
        with (self.folder / "dockerd.log").open("ab") as log:
            # A session of its own: what is sent to the tests' terminal is not sent to it.
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        eventually(self._answers, within_s=60, what=f"dockerd does not come up; see {self.folder}/dockerd.log")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "dockerd.log").read_text()[-2000:])
        try:
            asyncio.run(_ask(self.engine()))
        except OSError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the daemon; containers go on without it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def clear(self) -> None:
        """Remove every container."""
        asyncio.run(_clear(self.engine()))


async def _ask(engine: Engine) -> None:
    try:
        await engine.about()
    finally:
        await engine.close()


async def _clear(engine: Engine) -> None:
    try:
        for container in await engine._api.containers.list(all="true"):
            await engine.remove(container.id)
    finally:
        await engine.close()


async def _load(engine: Engine, archives: Sequence[bytes]) -> None:
    try:
        for archive in archives:
            await engine.load(archive)
    finally:
        await engine.close()


@contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    """Run a Docker Engine with the tests' images; skip, or fail where CI says there must be one."""
    busybox = next((place for place in _BUSYBOX_PLACES if Path(place).exists()), "")
    missing = [name for name, there in (("dockerd", shutil.which("dockerd")), ("busybox", busybox)) if not there]
    if os.geteuid() != 0:
        missing.append("root's rights")
    if missing:
        reason = f"a Docker Engine of the tests' own needs {', '.join(missing)}"
        pytest.fail(reason) if is_required("DOCKER") else pytest.skip(reason)
    # Short: a socket's path has 108 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="aiok-docker-", dir="/tmp"))
    bridge = f"aiok{os.getpid() % 1_000_000:06}"
    number = os.getpid() % (16 * 256)
    docker = DockerEngine(folder, bridge, ipaddress.IPv4Network(f"10.{208 + number // 256}.{number % 256}.0/24"))
    try:
        try:
            _ip("link", "add", bridge, "type", "bridge")
            _ip("address", "add", f"{docker.network[1]}/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
            docker.start()
        except (subprocess.CalledProcessError, AssertionError) as error:
            if is_required("DOCKER"):
                raise
            pytest.skip(f"a Docker Engine cannot run here: {error}")
        asyncio.run(_load(docker.engine(), _images(Path(busybox).read_bytes())))
        yield docker
        docker.clear()
    finally:
        docker.stop()
        subprocess.run(["ip", "link", "delete", bridge], check=False)
        _end_shims(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


def _end_shims(folder: Path) -> None:
    """End what a daemon that was killed left of its own: only processes whose command line names our folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                named = str(folder).encode() in (entry / "cmdline").read_bytes()
                if named:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    for mount in reversed(mounts):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


def _images(busybox: bytes) -> list[bytes]:
    files: dict[str, bytes | str] = {"bin/busybox": busybox, **dict.fromkeys((f"bin/{a}" for a in _APPLETS), "busybox")}
    files |= {
        "etc/passwd": b"root:x:0:0::/:/bin/sh\nweb:x:101:101::/:/bin/sh\n",
        "etc/group": b"root:x:0:\nweb:x:101:\n",
    }
    serve = ["httpd", "-f", "-p", "80", "-h", "/usr/share/nginx/html"]
    page = {"usr/share/nginx/html/index.html": PAGE.encode()}
    path = {"Env": ["PATH=/bin"]}
    return [
        image_archive(BUSYBOX_IMAGE, files, {**path, "Cmd": ["sh"], "StopSignal": "SIGTERM"}),
        image_archive(WEB_IMAGE, files | page, {**path, "Cmd": serve, "StopSignal": "SIGKILL"}),
        image_archive("registry.test/entry:1", files, {**path, "Entrypoint": ["echo", "entry"], "Cmd": ["command"]}),
        image_archive("registry.test/named-user:1", files, {**path, "Cmd": ["id"], "User": "web"}),
        image_archive(BARE_IMAGE, files, path),
    ]


def image_archive(name: str, files: Mapping[str, bytes | str], config: Mapping[str, Any]) -> bytes:
    """Return an image as ``docker load`` takes it.

    Args:
        name: Its name and tag.
        files: By path; a string is the target of a link.
        config: Command, environment and the like.
    """
    layer = _tar(files)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    described = {
        "architecture": machine,
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    content = json.dumps(described).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    return _tar({config_name: content, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()})


def _tar(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
