from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.events import Remembered
from edgecore.pods.projection import File, volume_files
from edgecore.pods.runtimes.base import Mount, StartRefused
from edgecore.pods.sources import PodSources, ReferenceMissing, TokenRequest
from edgecore.pods.storage import VolumeUnavailable
from edgecore.pods.volumekinds import mounting
from edgecore.pods.volumes import DiskStorage
from protocol.objects.keys import Body, ObjectKey, Uid
from tests.support.pods import FakeDesired, a_pod

U1 = Uid("u1")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and changes of owner need root")


@pytest.fixture(autouse=True)
def mounts_go(tmp_path: Path) -> Iterator[None]:
    yield
    mounting.unmount_below(tmp_path)


def sources(pod: Body, **config: str) -> PodSources:
    desired = FakeDesired()
    data = config or {"a": "1", "b": "2"}
    desired.put("configmaps", {"metadata": {"namespace": "default", "name": "cm"}, "data": data})
    secret = {"key": base64.b64encode(b"\xffraw").decode()}
    desired.put("secrets", {"metadata": {"namespace": "default", "name": "s"}, "data": secret})
    desired.put("secrets", {"metadata": {"namespace": "default", "name": "bad"}, "data": {"key": "%%"}})
    return PodSources(pod, desired, "edge-1", "10.0.0.7")


def with_volume(**volume: object) -> Body:
    return a_pod(volumes=[{"name": "v", **volume}])


def files(**volume: object) -> dict[str, File]:
    pod = with_volume(**volume)
    return volume_files(pod["spec"]["volumes"][0], pod, sources(pod))


class OneToken:
    """Hands out what it was given, by pod, audience and seconds."""

    def __init__(self, held: dict[tuple[str, str, int], bytes]) -> None:
        self._held = held

    async def settled(self, pod: Body) -> None:
        """Nothing is under way."""

    def token(self, pod: Body, request: TokenRequest) -> bytes:
        try:
            return self._held[pod["metadata"]["name"], request.audience, request.expiration_s]
        except KeyError:
            raise ReferenceMissing("no token has come yet: not yet") from None


class TestProjection:
    def test_a_config_map_is_a_file_per_key(self) -> None:
        assert files(configMap={"name": "cm"}) == {"a": File(b"1", 0o644), "b": File(b"2", 0o644)}

    def test_a_secret_is_closed_unless_it_says_otherwise(self) -> None:
        assert files(secret={"secretName": "s"}) == {"key": File(b"\xffraw", 0o400)}
        assert files(secret={"secretName": "s", "defaultMode": 0o440})["key"].mode == 0o440

    def test_items_choose_rename_and_set_modes(self) -> None:
        items = [{"key": "a", "path": "deep/er.conf", "mode": 0o600}]
        assert files(configMap={"name": "cm", "items": items}) == {"deep/er.conf": File(b"1", 0o600)}

    def test_a_projected_volume_gathers_its_sources(self) -> None:
        fields = {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}
        parts = [{"configMap": {"name": "cm"}}, {"secret": {"name": "s"}}, {"downwardAPI": fields}]
        found = files(projected={"sources": parts})
        assert sorted(found) == ["a", "b", "key", "name"]
        assert found["name"].content == b"web"

    def test_a_token_is_what_the_source_of_tokens_hands_out(self) -> None:
        source = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 700}}
        pod = with_volume(projected={"sources": [source], "defaultMode": 0o640})
        (volume,) = pod["spec"]["volumes"]
        assert volume_files(volume, pod, sources(pod)) == {}
        asked = replace(sources(pod), tokens=OneToken({("web", "vault", 700): b"t"}))
        assert volume_files(volume, pod, asked) == {"token": File(b"t", 0o640)}
        with pytest.raises(ReferenceMissing, match="not yet"):
            volume_files(volume, pod, replace(sources(pod), tokens=OneToken({})))

    def test_what_is_optional_may_be_missing(self) -> None:
        assert files(configMap={"name": "none", "optional": True}) == {}

    @pytest.mark.parametrize(
        ("volume", "message"),
        [
            ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
            ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
            ({"secret": {"secretName": "bad"}}, "not base64"),
            ({"configMap": {"name": "cm", "items": [{"key": "x", "path": "x"}]}}, "non-existent key: x"),
            ({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../a"}]}}, "leaves its volume"),
            ({"configMap": {"name": "cm", "items": [{"key": "a", "path": "/etc/a"}]}}, "leaves its volume"),
            ({"configMap": {"name": "cm", "items": [{"key": "a", "path": "..data"}]}}, "leaves its volume"),
            ({"projected": {"sources": [{"clusterTrustBundle": {}}]}}, "unsupported"),
        ],
    )
    def test_what_cannot_be_is_named(self, volume: Body, message: str) -> None:
        with pytest.raises(ReferenceMissing, match=message):
            files(**volume)


class TestDiskStorage:
    async def mount(self, storage: DiskStorage, pod: Body, **mount: object) -> Path:
        await storage.prepare(pod, sources(pod))
        container = {"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/m", **mount}]}
        (found,) = storage.mounts(pod, container, {"PART": "sub"})
        return found.source

    async def test_an_empty_dir_is_there_for_all_and_goes_with_the_pod(self, tmp_path: Path) -> None:
        storage, pod = DiskStorage(tmp_path), with_volume(emptyDir={})
        source = await self.mount(storage, pod)
        assert stat.S_IMODE(source.stat().st_mode) == 0o777
        await storage.release(U1)
        assert not source.exists()
        await storage.remove(U1)
        await storage.remove(U1)
        assert list(tmp_path.iterdir()) == []

    async def test_a_host_path_is_the_hosts_and_stays(self, tmp_path: Path) -> None:
        host = tmp_path / "host" / "made"
        storage = DiskStorage(tmp_path / "pods")
        pod = with_volume(hostPath={"path": str(host), "type": "DirectoryOrCreate"})
        assert await self.mount(storage, pod) == host
        await storage.remove(U1)
        assert host.is_dir()

    async def test_sub_paths(self, tmp_path: Path) -> None:
        storage, pod = DiskStorage(tmp_path), with_volume(configMap={"name": "cm"})
        assert (await self.mount(storage, pod, subPath="a")).read_bytes() == b"1"
        storage, empty = DiskStorage(tmp_path / "more"), with_volume(emptyDir={})
        source = await self.mount(storage, empty, subPathExpr="$(PART)/dir")
        (source / "file").touch()
        assert (tmp_path / "more/u1/volumes/v/sub/dir/file").exists()
        assert stat.S_IMODE(source.stat().st_mode) == 0o777

    @pytest.mark.parametrize("part", ["../x", "/etc", "link/passwd"])
    async def test_a_sub_path_cannot_leave_its_volume(self, tmp_path: Path, part: str) -> None:
        storage, pod = DiskStorage(tmp_path), with_volume(emptyDir={})
        source = await self.mount(storage, pod)
        (source / "link").symlink_to("/etc")
        with pytest.raises(StartRefused, match="leaves its volume"):
            await self.mount(storage, pod, subPath=part)

    @pytest.mark.parametrize(
        ("volume", "message"),
        [
            ({"configMap": {"name": "none"}}, 'MountVolume.SetUp failed for volume "v" : configmap "none" not found'),
            ({"persistentVolumeClaim": {"claimName": "c"}}, 'persistentvolumeclaim "c" not found'),
            ({"nfs": {"server": "s", "path": "/"}}, "volume source nfs is not supported"),
            ({"emptyDir": {"medium": "HugePages"}}, "emptyDir medium 'HugePages' is not supported"),
            ({"hostPath": {"path": "etc"}}, "is not absolute"),
            ({"hostPath": {"path": "/a\0b"}}, "has a NUL"),
            ({"hostPath": {"path": "/etc/passwd", "type": "Directory"}}, "not a Directory"),
            ({"hostPath": {"path": "/nowhere", "type": "File"}}, "not a File"),
            ({"hostPath": {"path": "/etc/../root"}}, "must not contain"),
            ({"hostPath": {"path": "/etc", "type": "Whatever"}}, "not a Whatever"),
        ],
    )
    async def test_a_volume_that_cannot_be_had_says_why(self, tmp_path: Path, volume: Body, message: str) -> None:
        pod = with_volume(**volume)
        with pytest.raises(VolumeUnavailable, match=message):
            await DiskStorage(tmp_path).prepare(pod, sources(pod))

    async def test_a_path_with_nul_is_refused_and_no_defect(self, tmp_path: Path) -> None:
        storage, pod = DiskStorage(tmp_path), with_volume(emptyDir={})
        for mount in ({"subPath": "a\0"}, {"mountPath": "/m\0"}):
            with pytest.raises(StartRefused, match="NUL"):
                await self.mount(storage, pod, **mount)
        with pytest.raises(StartRefused, match="NUL"):
            storage.mounts(
                with_volume(hostPath={"path": "/a\0"}), {"volumeMounts": [{"name": "v", "mountPath": "/m"}]}, {}
            )

    async def test_a_mount_of_no_volume_is_refused(self, tmp_path: Path) -> None:
        container = {"name": "main", "volumeMounts": [{"name": "none", "mountPath": "/m"}]}
        with pytest.raises(StartRefused, match="names no volume"):
            DiskStorage(tmp_path).mounts(a_pod(), container, {})

    async def test_names_that_leave_the_root_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeUnavailable):
            await DiskStorage(tmp_path).remove(Uid(".."))

    async def test_notes_outlive_the_agent_and_a_torn_one_is_passed_over(self, tmp_path: Path) -> None:
        note = Remembered("default", "web", 30.0, {"phase": "Failed", "message": "ü"})
        await DiskStorage(tmp_path).remember(U1, note)
        (tmp_path / "torn").mkdir()
        (tmp_path / "torn" / "note.json").write_text('{"namespace": "d')
        placeholder = Remembered("", "orphan-torn", 30.0, {})
        assert await DiskStorage(tmp_path).load() == {U1: note, Uid("torn"): placeholder}

    @pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "../../etc", "a\0b", "x" * 256])
    async def test_a_volume_that_climbs_out_is_refused(self, tmp_path: Path, name: str) -> None:
        pod = a_pod(volumes=[{"name": name, "emptyDir": {}}])
        with pytest.raises(VolumeUnavailable, match="cannot name a folder"):
            await DiskStorage(tmp_path / "pods").prepare(pod, sources(pod))
        assert not (tmp_path / "etc").exists()

    async def test_an_empty_dir_outlives_the_agent_with_what_its_pod_made_of_it(self, tmp_path: Path) -> None:
        source = await self.mount(DiskStorage(tmp_path), with_volume(emptyDir={}))
        (source / "work").write_text("half done")
        source.chmod(0o700)
        assert await self.mount(DiskStorage(tmp_path), with_volume(emptyDir={})) == source
        assert (source / "work").read_text() == "half done"
        assert stat.S_IMODE(source.stat().st_mode) == 0o700

    @as_root
    async def test_an_empty_dir_in_memory(self, tmp_path: Path) -> None:
        storage, pod = DiskStorage(tmp_path), with_volume(emptyDir={"medium": "Memory", "sizeLimit": "1Mi"})
        source = await self.mount(storage, pod)
        assert mounting.mounts_below(tmp_path) == [source]
        with pytest.raises(OSError, match="No space left"):
            (source / "large").write_bytes(b"x" * (2 << 20))
        (source / "large").unlink()
        (source / "small").write_bytes(b"x")
        # A new agent finds it as it is; after a reboot it is mounted again, empty.
        assert await self.mount(DiskStorage(tmp_path), pod) == source
        assert (source / "small").exists()
        mounting.unmount_below(tmp_path)
        await DiskStorage(tmp_path).prepare(pod, sources(pod))
        assert mounting.mounts_below(tmp_path) == [source]
        assert list(source.iterdir()) == []
        await storage.release(U1)
        assert mounting.mounts_below(tmp_path) == []
        assert not source.exists()

    async def test_memory_that_may_not_be_mounted_is_said_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        pod = with_volume(emptyDir={"medium": "Memory"})
        with pytest.raises(VolumeUnavailable, match="medium Memory: the agent runs as user 1000 and may not mount"):
            await DiskStorage(tmp_path).prepare(pod, sources(pod))

    @as_root
    async def test_a_part_of_a_volume_never_shows_what_a_link_leads_to(self, tmp_path: Path) -> None:
        storage, pod = DiskStorage(tmp_path / "pods"), with_volume(emptyDir={})
        outside = tmp_path / "outside"
        outside.mkdir()
        source = await self.mount(storage, pod)
        part = await self.mount(storage, pod, subPath="part")
        # The container swaps the folder for a link after the mount was asked for, before it is made.
        (source / "part").rename(source / "aside")
        (source / "part").symlink_to(outside)
        (part / "written").touch()
        assert (source / "aside" / "written").exists()
        assert list(outside.iterdir()) == []
        with pytest.raises(StartRefused, match="leaves its volume"):
            await self.mount(storage, pod, subPath="part")
        await storage.remove(U1)
        assert outside.is_dir()

    @as_root
    async def test_what_is_mounted_is_never_removed_with_the_pod(self, tmp_path: Path) -> None:
        host = tmp_path / "host"
        (host / "data").mkdir(parents=True)
        (host / "data" / "precious").touch()
        storage, pod = DiskStorage(tmp_path / "pods"), with_volume(hostPath={"path": str(host)})
        part = await self.mount(storage, pod, subPath="data")
        assert (part / "precious").exists()
        # The agent dies here; another one clears the pod away.
        await DiskStorage(tmp_path / "pods").remove(U1)
        assert (host / "data" / "precious").exists()
        assert list((tmp_path / "pods").iterdir()) == []

    @as_root
    async def test_a_volume_belongs_to_the_group_of_its_pod(self, tmp_path: Path) -> None:
        pod = a_pod(volumes=[{"name": "v", "emptyDir": {}}], securityContext={"fsGroup": 2000})
        found = (await self.mount(DiskStorage(tmp_path), pod)).stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (2000, 0o2777)

    async def test_looking_at_a_pod_that_has_gone_brings_nothing_back(self, tmp_path: Path) -> None:
        pod = with_volume(emptyDir={})
        storage = DiskStorage(tmp_path)
        await storage.prepare(pod, sources(pod))
        await storage.remove(U1)
        assert await storage.usage(pod) == {}
        assert list(tmp_path.iterdir()) == []

    async def test_what_a_pods_own_volumes_take_is_told(self, tmp_path: Path) -> None:
        volumes = [
            {"name": "v", "emptyDir": {}},
            {"name": "host", "hostPath": {"path": str(tmp_path)}},
            {"name": "config", "configMap": {"name": "cm"}},
        ]
        storage, pod = DiskStorage(tmp_path), a_pod(volumes=volumes)
        await storage.prepare(pod, sources(pod))
        (tmp_path / "u1/volumes/v/file").write_bytes(b"x" * 100_000)
        found = await storage.usage(pod)
        assert sorted(found) == ["config", "v"]
        assert found["v"].size_bytes >= 100_000
        assert found["v"].inodes == 2


class TestClaims:
    """A pod with a claim, its volume a folder of this node."""

    def desired(self, folder: Path, **volume: object) -> FakeDesired:
        desired = FakeDesired()
        desired.put("nodes", {"metadata": {"name": "edge-1", "labels": {"kubernetes.io/hostname": "edge-1"}}})
        claim = {"accessModes": ["ReadWriteOnce"], "volumeName": "pv-1"}
        metadata = {"namespace": "default", "name": "data", "uid": "c1"}
        desired.put("persistentvolumeclaims", {"metadata": metadata, "spec": claim})
        spec = {"local": {"path": str(folder)}, "accessModes": ["ReadWriteOnce"], "claimRef": {"uid": "c1"}, **volume}
        desired.put("persistentvolumes", {"metadata": {"name": "pv-1"}, "spec": spec})
        return desired

    def affinity(self, node: str) -> Body:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}

    def pod(self, uid: str = "u1", *, read_only: bool = False, **spec: Any) -> Body:
        source = {"claimName": "data", "readOnly": read_only}
        return a_pod(uid=uid, volumes=[{"name": "v", "persistentVolumeClaim": source}], **spec)

    async def mounted(self, storage: DiskStorage, pod: Body, desired: FakeDesired) -> Mount:
        await storage.prepare(pod, PodSources(pod, desired, "edge-1", "10.0.0.7"))
        (mount,) = storage.mounts(pod, {"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/m"}]}, {})
        return mount

    async def test_a_claim_is_the_folder_behind_it_and_the_data_stays(self, tmp_path: Path) -> None:
        folder, storage = tmp_path / "disk", DiskStorage(tmp_path / "pods")
        folder.mkdir()
        desired = self.desired(folder, nodeAffinity=self.affinity("edge-1"))
        mount = await self.mounted(storage, self.pod(), desired)
        assert (mount.source, mount.read_only) == (folder, False)
        (folder / "kept").touch()
        await storage.release(U1)
        await storage.remove(U1)
        assert (folder / "kept").exists()
        assert (await self.mounted(storage, self.pod(read_only=True), desired)).read_only

    async def test_a_host_path_volume_is_made_where_it_may_be(self, tmp_path: Path) -> None:
        folder = tmp_path / "new"
        spec = {"local": None, "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"}}
        desired = self.desired(folder)
        held = desired.get(ObjectKey("persistentvolumes", "", "pv-1"))
        assert held is not None
        body = {"metadata": {"name": "pv-1"}, "spec": {k: v for k, v in (held.body["spec"] | spec).items() if v}}
        desired.put("persistentvolumes", body)
        await self.mounted(DiskStorage(tmp_path / "pods"), self.pod(), desired)
        assert folder.is_dir()

    @pytest.mark.parametrize(
        ("volume", "message"),
        [
            ({"claimRef": {"uid": "another"}}, "is not bound to claim"),
            ({"claimRef": None}, "is not bound to claim"),
            ({"nodeAffinity": "edge-2"}, 'is not for node "edge-1"'),
            ({"volumeMode": "Block"}, "volumeMode Block"),
            ({"local": None, "nfs": {"server": "s"}}, "volumes of type nfs are not supported"),
            ({"local": {"path": "/nowhere/at/all"}}, 'path "/nowhere/at/all" does not exist'),
            ({"local": {"path": "/tmp/../etc"}}, "must not contain"),
        ],
    )
    async def test_what_cannot_be_had_is_said(self, tmp_path: Path, volume: dict[str, Any], message: str) -> None:
        if isinstance(volume.get("nodeAffinity"), str):
            volume = {"nodeAffinity": self.affinity(volume["nodeAffinity"])}
        with pytest.raises(VolumeUnavailable, match=f'volume "v" : .*{message}'):
            await self.mounted(DiskStorage(tmp_path / "pods"), self.pod(), self.desired(tmp_path, **volume))

    async def test_one_that_is_not_bound_or_not_here_is_waited_for(self, tmp_path: Path) -> None:
        desired = self.desired(tmp_path)
        desired.remove("persistentvolumes", "pv-1", "")
        with pytest.raises(VolumeUnavailable, match='persistentvolume "pv-1" not found'):
            await self.mounted(DiskStorage(tmp_path / "pods"), self.pod(), desired)
        metadata = {"namespace": "default", "name": "data", "uid": "c1"}
        desired.put("persistentvolumeclaims", {"metadata": metadata, "spec": {}})
        with pytest.raises(VolumeUnavailable, match='"default/data" is not bound'):
            await self.mounted(DiskStorage(tmp_path / "pods"), self.pod(), desired)

    async def test_an_exclusive_claim_is_one_pods_until_that_has_gone(self, tmp_path: Path) -> None:
        storage, desired = DiskStorage(tmp_path / "pods"), self.desired(tmp_path)
        metadata = {"namespace": "default", "name": "data", "uid": "c1"}
        spec = {"accessModes": ["ReadWriteOncePod"], "volumeName": "pv-1"}
        desired.put("persistentvolumeclaims", {"metadata": metadata, "spec": spec})
        await self.mounted(storage, self.pod("u1"), desired)
        await self.mounted(storage, self.pod("u1"), desired)
        with pytest.raises(VolumeUnavailable, match="ReadWriteOncePod and is in use by another pod"):
            await self.mounted(storage, self.pod("u2"), desired)
        await storage.release(U1)
        await self.mounted(storage, self.pod("u2"), desired)

    @as_root
    async def test_a_local_volume_is_given_to_the_pods_group_once(self, tmp_path: Path) -> None:
        folder, storage = tmp_path / "disk", DiskStorage(tmp_path / "pods")
        (folder / "sub").mkdir(parents=True)
        (folder / "sub/file").touch(mode=0o600)
        (folder / "link").symlink_to("/etc/hostname")
        before = Path("/etc/hostname").stat()
        desired = self.desired(folder)
        await self.mounted(storage, self.pod(securityContext={"fsGroup": 2000}), desired)
        found = (folder / "sub/file").stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (2000, 0o660)
        assert stat.S_IMODE((folder / "sub").stat().st_mode) == 0o2775
        after = Path("/etc/hostname").stat()
        assert (after.st_gid, after.st_mode) == (before.st_gid, before.st_mode)
        os.chown(folder / "sub/file", -1, 0)
        await self.mounted(storage, self.pod(securityContext={"fsGroup": 2000}), desired)
        lenient = {"fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"}
        await self.mounted(storage, self.pod("u2", securityContext=lenient), desired)
        assert (folder / "sub/file").stat().st_gid == 0
        await self.mounted(storage, self.pod("u3", securityContext={"fsGroup": 2000}), desired)
        assert (folder / "sub/file").stat().st_gid == 2000
