from __future__ import annotations

import base64
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from edgecore.pods.events import Remembered
from edgecore.pods.projection import File, volume_files
from edgecore.pods.runtimes.base import StartRefused
from edgecore.pods.sources import PodSources, ReferenceMissing, TokenRequest
from edgecore.pods.storage import VolumeUnavailable
from edgecore.pods.volumes import DiskStorage, project
from protocol.objects.keys import Body, Uid
from tests.support.pods import FakeDesired, a_pod

U1 = Uid("u1")


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


class TestAtomicReplacement:
    def test_content_is_seen_through_one_link(self, tmp_path: Path) -> None:
        project(tmp_path / "v", {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
        assert (tmp_path / "v/a").read_bytes() == b"1"
        assert (tmp_path / "v/d/b").read_bytes() == b"2"
        assert os.readlink(tmp_path / "v/a") == "..data/a"
        assert stat.S_IMODE((tmp_path / "v/d/b").stat().st_mode) == 0o600

    def test_an_update_replaces_removes_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        volume = tmp_path / "v"
        project(volume, {"a": File(b"1", 0o644), "gone": File(b"x", 0o644)})
        opened = (volume / "a").open("rb")
        project(volume, {"a": File(b"2", 0o644), "new": File(b"y", 0o644)})
        with opened:
            assert opened.read() == b"1"
        assert sorted(path.name for path in volume.iterdir() if not path.name.startswith("..")) == ["a", "new"]
        assert (volume / "a").read_bytes() == b"2"
        assert len([path for path in volume.iterdir() if path.name.startswith("..")]) == 2

    def test_the_same_content_is_not_written_again(self, tmp_path: Path) -> None:
        project(tmp_path / "v", {"a": File(b"1", 0o644)})
        before = os.readlink(tmp_path / "v/..data")
        project(tmp_path / "v", {"a": File(b"1", 0o644)})
        assert os.readlink(tmp_path / "v/..data") == before

    def test_a_failed_write_leaves_the_old_content(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        project(tmp_path / "v", {"a": File(b"1", 0o644)})
        monkeypatch.setattr(os, "fchmod", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            project(tmp_path / "v", {"a": File(b"2", 0o644)})
        assert (tmp_path / "v/a").read_bytes() == b"1"
        assert len(list((tmp_path / "v").iterdir())) == 3


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
        empty = with_volume(emptyDir={})
        assert (await self.mount(storage, empty, subPathExpr="$(PART)/dir")).name == "dir"

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
            ({"persistentVolumeClaim": {"claimName": "c"}}, "persistentVolumeClaim is not supported"),
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
        assert await DiskStorage(tmp_path).load() == {U1: note}
