"""Agent and supervisor of different versions: a supervisor outlives upgrades and roll-backs of the agent that began it.

Both sides are held to what version 1 says, spelt out here byte for byte. Verbs and fields may be added, for whoever
does not know them passes over them; a change to what is here would cut agents off from supervisors that run already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecore.pods.runtimes.base import ContainerId
from edgecore.pods.runtimes.process import proc
from edgecore.pods.runtimes.process.launch import command
from edgecore.pods.runtimes.process.runtime import PACKAGE_ROOT, ProcessRuntime
from protocol.objects.keys import Uid
from tests.contracts.runtime import Ears
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

POD = Uid("u1")
MAIN = ContainerId(POD, "main", 0)
EXIT = b"at\0001700000000.5\0code\0007\0signal\0000\0reason\0Error\0message\0\0tomorrows\0x\0end\0\0"
OLD_SUPERVISOR = """
import os, signal, subprocess, sys
folder = sys.argv[1]
pipes = [os.open(f"{folder}/supervisor/{name}", os.O_RDWR) for name in ("requests", "events")]
child = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL, cwd=folder)
boot = open("/proc/sys/kernel/random/boot_id").read().strip()
start = open(f"/proc/{child.pid}/stat").read().rpartition(")")[2].split()[19]
fields = ["boot", boot, "pid", str(child.pid), "start", start, "image", "i", "at", "1700000000.0", "end", ""]
instance = f"{folder}/containers/main/0"
def write(name, data):
    open(f"{instance}/{name}.new", "wb").write(data)
    os.replace(f"{instance}/{name}.new", f"{instance}/{name}")
write("running", "\\0".join(fields).encode() + b"\\0")
os.write(1, b"ready")
os.close(1)
for line in os.fdopen(pipes[0]):
    if line == "signal main 0 15\\n":
        child.kill()
        child.wait()
        write("exit", EXIT)
        os.write(pipes[1], b"exited\\n")
    elif line == "quit\\n":
        break
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a pod's folder with the pipes, and the folder of its first instance."""
    folder = tmp_path / "pods" / POD
    (folder / "containers" / "main" / "0").mkdir(parents=True)
    (folder / "supervisor").mkdir()
    for name in ("requests", "events"):
        os.mkfifo(folder / "supervisor" / name)
    return folder


@pytest.fixture
def old_supervisor(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    source = OLD_SUPERVISOR.replace("EXIT", repr(EXIT))
    argv = [sys.executable, "-c", source, str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"ready"
        yield process
        process.kill()


async def test_an_agent_adopts_the_supervisor_of_an_older_one(
    folder: Path, old_supervisor: subprocess.Popen[bytes]
) -> None:
    runtime, ears = ProcessRuntime(folder.parent), Ears()
    (state,) = await runtime.open(ears)
    assert (state.id, state.exit, state.image) == (MAIN, None, "i")
    await runtime.signal(MAIN, 15)
    ended = (await ears.next()).exit
    assert ended is not None
    assert (ended.exit_code, ended.reason, ended.finished_at) == (7, "Error", 1700000000.5)
    await runtime.remove_pod(POD)
    eventually(lambda: old_supervisor.poll() is not None, what="it leaves when it is told to")
    await runtime.close()


def test_a_supervisor_serves_the_agent_of_another_version(folder: Path) -> None:
    spec = ["cwd", "/", "image", "i", "log", str(folder / "log"), "log_bytes", "9999", "log_files", "2"]
    spec += ["oom_score", "0", "arg", "sh", "arg", "-c", "arg", "echo hello; exec sleep 1000", "env", "A=b"]
    instance = folder / "containers" / "main" / "0"
    (instance / "spec").write_bytes("\0".join([*spec, "tomorrows", "x", "end", ""]).encode() + b"\0")
    bell = os.open(folder / "supervisor" / "events", os.O_RDONLY | os.O_NONBLOCK)
    subprocess.run(command("launch", str(PACKAGE_ROOT), str(folder)), stdout=subprocess.PIPE, check=True, env={})
    requests = os.open(folder / "supervisor" / "requests", os.O_WRONLY | os.O_NONBLOCK)
    os.write(requests, b"tomorrows main 0 x\nstart main 0\n")
    fields = dict(zip(*[iter(eventually(lambda: _read(instance / "running")).split("\0"))] * 2, strict=False))
    assert {"boot", "pid", "start", "image", "at", "end"} <= set(fields)
    assert fields["boot"] == proc.boot_id()
    os.write(requests, b"signal main 0 9\n")
    ended = eventually(lambda: _read(instance / "exit"), what="its end is recorded")
    assert "code\x00137\x00signal\x009\x00reason\x00Error\x00" in ended
    assert os.read(bell, 4096).splitlines() == [b"started", b"exited"]
    os.write(requests, b"quit\n")
    supervisor = int((folder / "supervisor" / "lock").read_text())
    eventually(lambda: (found := proc.stat(supervisor)) is None or found.ended, what="it leaves")
    for descriptor in (bell, requests):
        os.close(descriptor)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
