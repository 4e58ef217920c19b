"""The agent's process: ``edgecore run`` execs it with the resolved settings in an environment variable."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from protocol.errors import UsageError

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with suppress(ImportError):  # uvloop has no build for every platform
    import uvloop

    new_event_loop = uvloop.new_event_loop


def main() -> int:
    """Run the agent; return its exit status."""
    # The logging library loads rich wherever it is installed: 5 MB and 70 ms for nothing a daemon shows.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    import structlog  # noqa: PLC0415

    from edgecore.app import run_agent  # noqa: PLC0415
    from edgecore.settings import RESOLVED, receive  # noqa: PLC0415
    from protocol.logs import configure_logs  # noqa: PLC0415

    try:
        handover = receive(os.environ)
        # What the agent starts must not inherit the hand-over.
        del os.environ[RESOLVED]
        configure_logs(level=handover.settings.log_level, form=handover.settings.log_format)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(run_agent(handover))
    except UsageError as error:
        sys.stderr.write(f"edgecore: {error}\n")
        return 2
    except Exception:  # noqa: BLE001 - the last line before the process ends: nothing may end it unlogged
        structlog.get_logger("edgecore").exception("agent failed, pods keep running")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
