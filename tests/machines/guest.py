"""Inside the machine: runs what the tests ask for, and answers. The system's own Python runs it; it needs nothing else.

A request is a line of JSON: ``id``, ``argv``, ``input`` and ``within_s``. Its answer is one too: ``id``, ``code`` (-1
where it took too long), ``out`` and ``err``. Requests run beside each other. The first line tells that the machine is
up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

_lock = threading.Lock()


def main(path: str) -> None:
    """Serve the requests that come through a port, for ever."""
    port = os.open(path, os.O_RDWR)
    _send(port, {"id": 0, "boot": _text("/proc/sys/kernel/random/boot_id")})
    held = b""
    while True:
        held += (read := os.read(port, 65536))
        if not read:
            time.sleep(0.05)  # nobody is at the other end
        *lines, held = held.split(b"\n")
        for line in lines:
            threading.Thread(target=_answer, args=(port, json.loads(line)), daemon=True).start()


def _answer(port: int, request: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            request["argv"],
            input=request["input"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=request["within_s"],
            check=False,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        code, out, err = -1, *((each or b"").decode(errors="replace") for each in (error.stdout, error.stderr))
    except OSError as error:
        code, out, err = 127, "", str(error)
    _send(port, {"id": request["id"], "code": code, "out": out, "err": err})


def _send(port: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    with _lock:
        while data:
            data = data[os.write(port, data) :]


def _text(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


if __name__ == "__main__":
    main(sys.argv[1])
