"""A device that is a whole machine: a processor, memory, disks and a network to nothing but the cloud's ports.

Its power can be cut: what the machine holds in memory is gone, and of what it gave to its disks, whatever it did not
ask them to flush may be: a qcow2 overlay holds back the places of new clusters until then, as a drive's own cache does.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.machines.images import CPU, QEMU, Image, accelerator, commit, make_disk, overlay

CLOUD: Final = "10.0.2.100"
"""The cloud's address, as the machine sees it."""
DATA: Final = Path("/var/lib/aiokubeedge")
"""Where its second disk is mounted."""
PYTHON: Final = "/opt/aiokubeedge/bin/python"
PATIENCE_S: Final = 300.0
"""How long a step may take; without KVM all of it is slow."""
_LINE_LIMIT: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str


@dataclass
class Machine:
    """A virtual machine.

    Args:
        image: What it boots from.
        folder: Its disks, its console and its journal.
        ports: The ports of the host's loopback that it reaches, at :data:`CLOUD`.
        memory_mib: Its memory.
    """

    image: Image
    folder: Path
    ports: Sequence[int] = ()
    memory_mib: int = 1024
    boots: int = 0
    boot_id: str = ""
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _listener: asyncio.Task[None] | None = None
    _asked: dict[int, asyncio.Future[Outcome]] = field(default_factory=dict)
    _last: int = 0

    @property
    def console(self) -> Path:
        """What it has said on its console."""
        return self.folder / "console.log"

    @property
    def journal(self) -> Path:
        """What has been written to its second serial line; that is beyond the reach of a power cut."""
        return self.folder / "journal"

    # --- power ----------------------------------------------------------------------------------------------------

    async def boot(self, *, until_up: bool = True, within_s: float = PATIENCE_S) -> None:
        """Switch it on, and wait until it takes commands, if that is asked for."""
        root, data = self.folder / "root.qcow2", self.folder / "data.raw"
        if not root.exists():
            overlay(self.image.folder / "root.img", "raw", root)
            make_disk(data, "data", mib=512)
        overlay(data, "raw", self.folder / "data.qcow2")
        with self.console.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv(), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        if not until_up:
            return
        try:
            await asyncio.wait_for(self._connect(), within_s)
        except BaseException:
            await self.cut_power()
            raise
        self.boots += 1

    def _argv(self) -> list[str]:
        forwards = [f"guestfwd=tcp:{CLOUD}:{port}-cmd:busybox nc 127.0.0.1 {port}" for port in self.ports]
        disks = [(self.folder / f"{name}.qcow2", "qcow2", "off") for name in ("root", "data")]
        disks.append((self.image.project, "raw", "on"))
        argv = [*QEMU, "-accel", accelerator(), "-cpu", CPU, "-smp", "1", "-m", str(self.memory_mib)]
        argv += ["-kernel", str(self.image.folder / "vmlinuz"), "-initrd", str(self.image.folder / "initrd")]
        argv += ["-append", "root=LABEL=root rw console=ttyS0 quiet panic=-1 systemd.show_status=false"]
        for path, kind, readonly in disks:
            argv += ["-drive", f"file={path},format={kind},if=virtio,cache=writeback,readonly={readonly}"]
        argv += ["-netdev", ",".join(["user,id=net,restrict=on", *forwards]), "-device", "virtio-net-pci,netdev=net"]
        argv += ["-device", "virtio-serial", "-device", "virtserialport,chardev=lab,name=lab"]
        argv += ["-chardev", f"socket,id=lab,path={self._socket},server=on,wait=off", "-serial", "stdio"]
        argv += ["-chardev", f"file,id=journal,path={self.journal},append=on", "-serial", "chardev:journal"]
        return [*argv, "-device", "virtio-rng-pci"]

    @property
    def _socket(self) -> Path:
        return self.folder / "lab.sock"

    async def _connect(self) -> None:
        assert self._process is not None
        while True:
            if self._process.returncode is not None:
                raise RuntimeError(f"the machine does not start:\n{self.said()}")
            with suppress(OSError):
                self._reader, self._writer = await asyncio.open_unix_connection(str(self._socket), limit=_LINE_LIMIT)
                break
            await asyncio.sleep(0.02)
        self.boot_id = json.loads(await self._reader.readline())["boot"]
        self._listener = asyncio.create_task(self._listen(self._reader), name="machine")

    async def cut_power(self) -> None:
        """Switch it off, this moment."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._ended()

    async def shut_down(self) -> None:
        """Let it shut down in order."""
        with suppress(ConnectionError):
            await self.run("systemctl", "--no-block", "poweroff")
        await self._ended()

    async def _ended(self) -> None:
        if self._process is None:
            return
        await asyncio.wait_for(self._process.wait(), PATIENCE_S)
        self._process = None
        if self._listener is not None:
            await asyncio.wait([self._listener])
        if self._writer is not None:
            self._writer.close()
        self._listener = self._writer = None
        self._socket.unlink(missing_ok=True)
        await asyncio.to_thread(commit, self.folder / "data.qcow2")

    def said(self, lines: int = 30) -> str:
        """Return the end of what it said on its console."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    # --- commands -------------------------------------------------------------------------------------------------

    async def run(self, *argv: str | Path, text: str = "", within_s: float = PATIENCE_S) -> Outcome:
        """Run a command in it.

        Raises:
            ConnectionError: The power went meanwhile.
        """
        if self._writer is None or self._process is None:
            raise ConnectionError("the machine is off")
        self._last += 1
        answer = self._asked[self._last] = asyncio.get_running_loop().create_future()
        request = {"id": self._last, "argv": [*map(str, argv)], "input": text, "within_s": within_s}
        self._writer.write(json.dumps(request).encode() + b"\n")
        return await asyncio.wait_for(answer, within_s + 10)

    async def get(self, *argv: str | Path, text: str = "", within_s: float = PATIENCE_S) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = await self.run(*argv, text=text, within_s=within_s)
        assert done.code == 0, f"{shlex.join(map(str, argv))}: {done.code}\n{done.out[-6000:]}\n{done.err[-3000:]}"
        return done.out

    async def shell(self, script: str, **given: Any) -> str:
        """Run a shell script that has to succeed, and return what it printed."""
        return await self.get("sh", "-euc", script, **given)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                answer = json.loads(line)
                waiting = self._asked.pop(answer.pop("id"), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(Outcome(answer["code"], answer["out"], answer["err"]))
        while self._asked:
            _, waiting = self._asked.popitem()
            if not waiting.done():
                waiting.set_exception(ConnectionError("the machine went off"))
