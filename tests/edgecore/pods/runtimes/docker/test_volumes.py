"""Volumes as containers of a real Docker Engine see them: parts, memory, claims, and what the host mounts later."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, StartRefused
from edgecore.pods.runtimes.docker.runtime import DockerRuntime
from edgecore.pods.sources import PodSources
from edgecore.pods.volumekinds import mounting
from edgecore.pods.volumes import DiskStorage
from protocol.objects.keys import Body
from tests.contracts.runtime import POD, Ears, container
from tests.support.dockers import BUSYBOX_IMAGE, DockerEngine
from tests.support.pods import FakeDesired, a_pod

pytestmark = pytest.mark.e2e


@dataclass
class Device:
    """A runtime and what keeps its pods' volumes."""

    docker: DockerEngine
    folder: Path
    runtime: DockerRuntime
    storage: DiskStorage
    desired: FakeDesired

    async def start(self, pod: Body, which: ContainerId, mounts: list[Body]) -> None:
        """Start an instance that sleeps."""
        await self.storage.prepare(pod, PodSources(pod, self.desired, "edge-1", "10.0.0.7"))
        found = self.storage.mounts(pod, {"name": which.name, "volumeMounts": mounts}, {})
        spec = ContainerSpec(which, "default", "web", BUSYBOX_IMAGE, ("sleep", "1000"), mounts=found)
        await self.runtime.start(spec)

    async def sh(self, script: str, which: ContainerId) -> str:
        """Return what a script prints in a running instance."""
        return (await self.runtime.exec(which, ("sh", "-c", f"{script} 2>&1"), 30)).output.decode()


@pytest.fixture
async def device(docker: DockerEngine, tmp_path: Path) -> AsyncIterator[Device]:
    runtime = DockerRuntime(docker.settings(tmp_path / "runtime"))
    await runtime.open(Ears())
    storage = DiskStorage(tmp_path / "volumes")
    yield Device(docker, tmp_path, runtime, storage, FakeDesired())
    await runtime.remove_pod(POD)
    await runtime.close()
    await storage.remove(POD)
    assert mounting.mounts_below(tmp_path / "volumes") == []


def pod_with(*volumes: Body, **spec: Any) -> Body:
    return a_pod(uid=POD, volumes=list(volumes), **spec)


async def test_parts_of_a_volume(device: Device) -> None:
    pod, (one, two) = pod_with({"name": "v", "emptyDir": {}}), (container(), container(name="other"))
    await device.start(pod, two, [{"name": "v", "mountPath": "/all"}])
    await device.sh("echo text > /all/file", two)
    parts = [
        {"name": "v", "mountPath": "/folder", "subPath": "a/b"},
        {"name": "v", "mountPath": "/f", "subPath": "file"},
    ]
    await device.start(pod, one, parts)
    assert await device.sh("cat /f; echo inside > /folder/new; echo more >> /f", one) == "text\n"
    assert await device.sh("cat /all/a/b/new /all/file", two) == "inside\ntext\nmore\n"


async def test_a_part_that_another_container_has_made_a_link_is_refused(device: Device) -> None:
    pod, (one, two) = pod_with({"name": "v", "emptyDir": {}}), (container(), container(name="other"))
    await device.start(pod, two, [{"name": "v", "mountPath": "/all"}])
    await device.sh("/bin/busybox ln -s /etc /all/a", two)
    with pytest.raises(StartRefused, match="leaves its volume"):
        await device.start(pod, one, [{"name": "v", "mountPath": "/a", "subPath": "a"}])


async def test_a_volume_in_memory_is_shared_and_bounded(device: Device) -> None:
    memory = {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    pod, (one, two) = pod_with(memory), (container(), container(name="other"))
    await device.start(pod, one, [{"name": "v", "mountPath": "/m"}])
    await device.start(pod, two, [{"name": "v", "mountPath": "/part", "subPath": "p"}])
    assert "No space left" in await device.sh("dd if=/dev/zero of=/m/big bs=1M count=2", one)
    await device.sh("/bin/busybox rm /m/big", one)
    await device.sh("echo here > /part/x", two)
    assert await device.sh("cat /m/p/x; grep -c ' /m tmpfs' /proc/mounts", one) == "here\n1\n"


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder whose mounts are passed on."""
    folder = tmp_path / "host"
    folder.mkdir()
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "--make-shared", folder], check=True)
    yield folder
    mounting.unmount_below(folder)


async def test_what_the_host_mounts_later_reaches_who_asks_for_it(device: Device, shared: Path) -> None:
    (shared / "later").mkdir()
    pod = pod_with({"name": "v", "hostPath": {"path": str(shared), "type": "Directory"}})
    asking = {"name": "v", "mountPath": "/asking", "mountPropagation": "HostToContainer"}
    await device.start(pod, container(), [asking, {"name": "v", "mountPath": "/private"}])
    mounting.mount_tmpfs(shared / "later", "size=64k")
    (shared / "later/file").touch()
    assert await device.sh("ls /asking/later; ls /private/later", container()) == "file\n"


async def test_a_claim_is_its_volume_and_belongs_to_the_pods_group(device: Device) -> None:
    disk = device.folder / "disk"
    disk.mkdir()
    metadata = {"namespace": "default", "name": "data", "uid": "c1"}
    device.desired.put("persistentvolumeclaims", {"metadata": metadata, "spec": {"volumeName": "pv-1"}})
    spec = {"local": {"path": str(disk)}, "accessModes": ["ReadWriteOnce"], "claimRef": {"uid": "c1"}}
    device.desired.put("persistentvolumes", {"metadata": {"name": "pv-1"}, "spec": spec})
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    pod = pod_with(volume, securityContext={"fsGroup": 2000})
    mounts: list[Body] = [{"name": "v", "mountPath": "/d"}, {"name": "v", "mountPath": "/ro", "readOnly": True}]
    await device.start(pod, container(), mounts)
    assert "Read-only" in await device.sh("echo kept > /d/file; echo x > /ro/file", container())
    assert (disk / "file").read_text() == "kept\n"
    assert (disk / "file").stat().st_gid == 2000
    await device.runtime.remove_pod(POD)
    await device.storage.remove(POD)
    assert (disk / "file").read_text() == "kept\n"
