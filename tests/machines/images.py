"""What a machine boots from, and whether the processor helps to run it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
VARIABLE: Final = "AIOKUBEEDGE_MACHINE"
"""Names the folder with root.img, vmlinuz and initrd; `make machine-test` makes it and sets this."""
QEMU: Final = ("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")
CPU: Final = "max,-arch-capabilities"
"""With all that there is, but a feature that machines within machines are shown and denied."""
_PROBE_S: Final = 8.0
_SOURCES: Final = ("pyproject.toml", "README.md", "LICENSE", "protocol", "cloudcore", "edgecore")
_TESTED: Final = ("pyproject.toml", "tests", "examples")


@functools.cache
def accelerator() -> str:
    """Return what runs machines: ``kvm`` where a kernel comes up on it, else ``tcg``, which takes ten times as long.

    That /dev/kvm exists and answers proves nothing: within some machines it never gets beyond the firmware.
    """
    argv = [*QEMU, "-accel", "kvm", "-cpu", CPU, "-m", "256", "-serial", "stdio", "-append", "console=ttyS0 panic=-1"]
    argv += ["-kernel", str(Path(os.environ[VARIABLE], "vmlinuz"))]
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    try:
        said = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S, check=False).stdout
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
    return "kvm" if b"Linux version" in said else "tcg"


@dataclass(frozen=True, slots=True)
class Image:
    """What machines boot from.

    Attributes:
        folder: With root.img, vmlinuz and initrd, and the wheels of what the project needs.
        project: A read-only disk with the project's wheel and its tests.
    """

    folder: Path
    project: Path


def missing() -> str:
    """Return why there can be no machine here; empty where there can."""
    if not Path(os.environ.get(VARIABLE, ""), "root.img").is_file():
        return f"{VARIABLE} names no image: run `make machine-test`"
    lacking = [name for name in ("qemu-system-x86_64", "qemu-img", "mkfs.ext4") if shutil.which(name) is None]
    return f"{', '.join(lacking)} is not installed" if lacking else ""


def build(folder: Path) -> Image:
    """Make the disk with this tree's wheel and tests."""
    image, project = Path(os.environ[VARIABLE]), folder / "project.img"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source, content = Path(scratch, "source"), Path(scratch, "content")
        source.mkdir()  # building leaves folders behind
        content.mkdir()
        _run("cp", "-r", *(ROOT / name for name in _SOURCES), source)
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps")
        _run(*pip, "--no-index", "--find-links", image / "wheels", "--wheel-dir", content, source)
        _run("cp", "-r", *(ROOT / name for name in _TESTED), content)
        make_disk(project, "project", mib=64, content=content)
    return Image(image, project)


def make_disk(path: Path, label: str, *, mib: int, content: Path | None = None) -> None:
    """Make a disk with an ext4 file system, empty or with what is in a folder."""
    with path.open("wb") as disk:
        disk.truncate(mib << 20)
    _run("mkfs.ext4", "-q", "-F", "-L", label, *(("-d", content) if content else ()), path)


def overlay(base: Path, kind: str, path: Path) -> None:
    """Make a disk that shows ``base`` and takes what is written."""
    path.unlink(missing_ok=True)
    _run("qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", base, path)


def commit(path: Path) -> None:
    """Write what an overlay has taken into what it lies over."""
    _run("qemu-img", "commit", "-q", path)


def _run(*argv: str | Path) -> None:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}")
