from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from edgecore.pods.runtimes.docker import pause
from edgecore.pods.runtimes.docker.pause import UnknownArchitecture
from tests.support.waiting import eventually

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_the_program_is_an_executable_that_fits_its_segment(architecture: str, machine: int) -> None:
    program = pause.program(architecture)
    assert program[:4] == b"\x7fELF"
    kind, found, _, entry, headers = struct.unpack_from("<HHIQQ", program, 16)
    assert (kind, found, headers) == (2, machine, 64)
    load, flags, offset, address, _, in_file, in_memory = struct.unpack_from("<IIQQQQQ", program, 64)
    assert (load, flags, offset, in_file, in_memory) == (1, 5, 0, len(program), len(program))
    assert entry == address + 120


def test_arm_instructions_find_the_action_behind_the_code() -> None:
    program = pause.program("arm64")
    words = struct.unpack_from(f"<{(len(program) - 120 - 32) // 4}I", program, 120)
    adr = words[2]
    distance = (adr >> 5 & 0x7FFFF) << 2 | adr >> 29 & 3
    assert adr & 0x9F00001F == 0x10000001
    assert 120 + 8 + distance == len(program) - 32
    assert (len(program) - 32) % 8 == 0
    jump = next(word for word in words if word >> 26 == 0x05)
    back = (jump & 0x3FFFFFF) - (1 << 26)
    assert words[words.index(jump) + back] == 0xD2800000 | 73 << 5 | 8, "it goes back to where it loads ppoll's number"


def ignored_by(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigIgn:"))
    return int(mask, 16)


@pytest.mark.skipif(not HERE, reason=f"there is no pause program for {platform.machine()}")
def test_the_program_runs_ignores_the_ends_of_children_and_dies_of_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "pause"
    path.write_bytes(pause.program(HERE))
    path.chmod(0o755)
    process = subprocess.Popen([path])
    try:
        eventually(lambda: ignored_by(process.pid) & 1 << 16)  # others may be ignored from the start
        os.kill(process.pid, 17)
        assert process.poll() is None
    finally:
        process.kill()
    assert process.wait(10) == -9


def test_the_image_is_whole_and_always_the_same() -> None:
    archive = pause.image("amd64")
    assert archive == pause.image("amd64")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        read = {name: files.extractfile(name).read() for name in files.getnames()}  # type: ignore[union-attr]
    (manifest,) = json.loads(read["manifest.json"])
    config = json.loads(read[manifest["Config"]])
    assert manifest["RepoTags"] == [pause.NAME]
    assert manifest["Config"] == hashlib.sha256(read[manifest["Config"]]).hexdigest() + ".json"
    layer = read[manifest["Layers"][0]]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert config["architecture"] == "amd64"


def test_another_processor_needs_an_image_from_the_settings() -> None:
    with pytest.raises(UnknownArchitecture, match="riscv64"):
        pause.image("riscv64")
