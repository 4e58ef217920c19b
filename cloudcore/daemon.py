"""The cloud daemon's process: settings handed over, signals, the event loop, the exit status."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from cloudcore.config import RELOADABLE, RESOLVED, Settings, load
from protocol.errors import UsageError
from protocol.logs import configure_logs

log = structlog.get_logger(__name__)

_KEPT_BYTES = 2 * 1024 * 1024
"""glibc takes a block from its heap, and keeps twice as much of it when free, up to the size of the largest block of
its own mapping that was ever freed (mallopt(3), ``M_MMAP_THRESHOLD``). Elsewhere this does nothing."""


class Daemon:
    """Signals around the running cloud.

    Args:
        settings: The resolved settings.
        flags: What the command line gave, for a reload.
        file: The YAML file that the command line named, for a reload.
    """

    def __init__(self, settings: Settings, flags: dict[str, Any], file: str | None) -> None:
        self._settings = settings
        self._flags = flags
        self._file = Path(file) if file else None
        self._cloud: asyncio.Future[Any] | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._cloud = loop.create_future()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        # Neither kind of cloud needs what the other is made of.
        if self._settings.store == "kubernetes":
            from cloudcore.member import run_member  # noqa: PLC0415

            await run_member(self._settings, stop, self._cloud)
        else:
            from cloudcore.app import run_daemon  # noqa: PLC0415

            await run_daemon(self._settings, stop, self._cloud)

    def _reload(self) -> None:
        try:
            fresh = load(self._flags, self._file)
        except UsageError as error:
            log.error("settings were not reloaded", cause=str(error))
            return
        changed = {
            name for name in type(self._settings).model_fields if getattr(fresh, name) != getattr(self._settings, name)
        }
        taken = self._settings.model_copy(update={name: getattr(fresh, name) for name in changed & RELOADABLE})
        self._settings = taken
        configure_logs(level=taken.log_level, form=taken.log_format)
        if self._cloud is not None and self._cloud.done():
            self._cloud.result().reload(taken)
        log.info("settings reloaded", changed=sorted(changed & RELOADABLE), need_restart=sorted(changed - RELOADABLE))


def tune_interpreter() -> None:
    """Fit the interpreter to a process that is one busy event loop beside one thread that commits.

    The loop would hold the lock for 5 ms while the writer thread waits to tell it of a commit: 0.5 ms instead.
    The cycle collector walks every cached object each few hundred allocations: rarely is enough, for cycles are few.
    The C library would give the pages of each batch back to the kernel and ask for them anew: it keeps a few MiB.
    """
    sys.setswitchinterval(0.0005)
    gc.set_threshold(50_000, 20, 100)
    bytes(_KEPT_BYTES)  # freed at once, which is all that is wanted of it


def raise_file_limit() -> None:
    """Let the process have as many open files as it may: each node and each watch holds one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's loop, or asyncio's own where uvloop has no build."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def run_process() -> int:
    """Run the daemon; return its exit status."""
    handed = os.environ.pop(RESOLVED, None)
    if handed is None:
        sys.stderr.write("cloudcore: start it with `cloudcore run`\n")
        return 2
    content = json.loads(handed)
    settings = Settings(**content["settings"])
    configure_logs(level=settings.log_level, form=settings.log_format)
    tune_interpreter()
    raise_file_limit()
    daemon = Daemon(settings, content["flags"], content["file"])
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(daemon.run())
    except UsageError as error:
        sys.stderr.write(f"cloudcore: {error}\n")
        return 2
    except Exception:
        log.exception("cloudcore failed")
        return 1
    return 0
