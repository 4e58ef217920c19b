"""The image of sandboxes, made here: one static program of some hundred bytes that sleeps and reaps. Pure.

A sandbox has to come up on a device that has no registry, no compiler and no image yet, so its image is not fetched
but put together: an ELF header and the few instructions that ignore SIGCHLD (so that the kernel reaps what a shared
process namespace leaves to its first process) and then sleep without end. Only a kill ends it, and nothing but a kill
is ever sent. Everything in the image is constant, so it has one and the same id on every node of an architecture.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Callable, Mapping
from typing import Final

NAME: Final = "aiokubeedge/pause:1"

_BASE: Final = 0x400000
_HEADERS: Final = 64 + 56
_MACHINES: Final[Mapping[str, int]] = {"amd64": 62, "arm64": 183}
_SIGCHLD: Final = 17
_SIG_IGN: Final = 1
_EPOCH: Final = "1970-01-01T00:00:00Z"


class UnknownArchitecture(ValueError):
    """There is no pause program for this processor: name an image in the settings."""


def image(architecture: str) -> bytes:
    """Return the image as ``docker load`` takes it.

    Args:
        architecture: As Go spells it: ``amd64`` or ``arm64``.

    Raises:
        UnknownArchitecture: It is another.
    """
    layer = _tar({"pause": (program(architecture), 0o755)})
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": _EPOCH,
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": _EPOCH, "created_by": "aiokubeedge"}],
    }
    config_bytes = json.dumps(config, sort_keys=True).encode()
    name = f"{hashlib.sha256(config_bytes).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [NAME], "Layers": ["layer/layer.tar"]}]
    files = {name: config_bytes, "layer/layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    return _tar({path: (content, 0o644) for path, content in files.items()})


def program(architecture: str) -> bytes:
    """Return the program: an ELF executable of one segment.

    Raises:
        UnknownArchitecture: There is none for this processor.
    """
    if architecture not in _MACHINES:
        raise UnknownArchitecture(f"no pause program for {architecture!r}")
    code = _CODE[architecture]()
    # struct kernel_sigaction: handler, flags, restorer, mask.
    body = code + struct.pack("<QQQQ", _SIG_IGN, 0, 0, 0)
    size = _HEADERS + len(body)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, _MACHINES[architecture], 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + body


def _amd64() -> bytes:
    sleep = b"\xb8\x22\x00\x00\x00" + b"\x0f\x05" + b"\xeb\xf7"  # mov eax, SYS_pause; syscall; jmp -9
    after = (
        b"\x31\xd2"  # xor edx, edx
        + b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8: size of the mask
        + b"\xb8\x0d\x00\x00\x00"  # mov eax, SYS_rt_sigaction
        + b"\x0f\x05"  # syscall
        + sleep
    )
    before = b"\xbf" + struct.pack("<I", _SIGCHLD)  # mov edi, SIGCHLD
    # lea rsi, [rip + n]: the action stands right behind the code.
    return before + b"\x48\x8d\x35" + struct.pack("<I", len(after)) + after


def _arm64() -> bytes:
    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    def adr(register: int, distance: int) -> int:
        return 0x10000000 | (distance & 3) << 29 | (distance >> 2) << 5 | register

    call = 0xD4000001
    start = [movz(8, 134), movz(0, _SIGCHLD), 0, movz(2, 0), movz(3, 8), call]  # rt_sigaction; slot 2 is the adr
    sleep = [movz(8, 73), *(movz(register, 0) for register in range(5)), call]  # ppoll of nothing, for ever
    back = 0x14000000 | (-len(sleep) & 0x3FFFFFF)
    words = [*start, *sleep, back]
    if len(words) % 2:
        words.append(0xD503201F)  # nop: the action must be aligned
    words[2] = adr(1, 4 * (len(words) - 2))
    return struct.pack(f"<{len(words)}I", *words)


_CODE: Final[Mapping[str, Callable[[], bytes]]] = {"amd64": _amd64, "arm64": _arm64}


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
