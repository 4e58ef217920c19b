"""systemd services of the daemons: units from the packages' templates, installed and started.

A template is a unit with ``@PYTHON@``, ``@DATA_DIR@`` and ``@USER@`` where the machine's own values go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from protocol.errors import UsageError
from protocol.files import PUBLIC, write_file

UNITS: Final = Path("/etc/systemd/system")
RUNNING: Final = Path("/run/systemd/system")
"""Is there while systemd is the system's manager (``sd_booted(3)``)."""
ANSWER_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Service:
    """A daemon as a service.

    Attributes:
        name: The daemon, and the package that holds its unit's template.
        python: The interpreter that has it installed.
        data_dir: Its data folder, absolute.
        user: Whom it runs as.
    """

    name: str
    python: Path
    data_dir: Path
    user: str = "root"

    def unit(self) -> str:
        """Return the unit file.

        Raises:
            UsageError: A path or the user's name cannot stand in one.
        """
        text = (resources.files(self.name) / f"{self.name}.service").read_text()
        values = {"PYTHON": str(self.python), "DATA_DIR": str(self.data_dir), "USER": self.user}
        for name, value in values.items():
            text = text.replace(f"@{name}@", _escaped(value))
        return text


def _escaped(value: str) -> str:
    """Return ``value`` for use between double quotes, where systemd replaces what % begins.

    Raises:
        UsageError: Nothing can hide what is in it.
    """
    if any(char in "\"'\\$" for char in value) or not value.isprintable():
        raise UsageError(f"{value!r} cannot stand in a systemd unit: choose a path without quotes, backslashes or $")
    return value.replace("%", "%%")


def require_systemd() -> None:
    """Check that a service can be installed here, before anything is done.

    Raises:
        UsageError: Not as this user, or there is no systemd.
    """
    if not RUNNING.is_dir() or shutil.which("systemctl") is None:
        raise UsageError("systemd does not run here: have this machine's own manager start the daemon, as `run` does")
    if os.geteuid() != 0:
        raise UsageError("installing a service needs root: repeat the command with sudo")


def install(service: Service) -> Path:
    """Write the unit, and have systemd start it now and at each boot. Repeating it takes over what has changed.

    Returns:
        The unit file.

    Raises:
        UsageError: Not as this user, there is no systemd, or it refused.
    """
    require_systemd()
    path = UNITS / f"{service.name}.service"
    try:
        write_file(path, service.unit().encode(), mode=PUBLIC)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    _systemctl("daemon-reload")
    _systemctl("enable", path.name)
    _systemctl("restart", path.name)  # starts it, too
    return path


def _systemctl(*args: str) -> None:
    try:
        done = subprocess.run(
            ["systemctl", *args],
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"systemctl {' '.join(args)}: {error}") from error
    if done.returncode != 0:
        raise UsageError(f"systemctl {' '.join(args)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
