"""``python -m cloudcore.healthcheck``: exit status 0 while the daemon of ``CLOUDCORE_DATA_DIR`` is ready, else 1.

For a container's health check: what ``/readyz`` says, on the port that the daemon has recorded. Beside a cluster there
is no API of ours, and the daemon is well while its metrics answer.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from cloudcore.sockets import read_run_file

TIMEOUT_S: Final = 4.0


def fault_of(data_dir: Path) -> str:
    """Return why the daemon of ``data_dir`` is not ready; empty if it is."""
    ports = read_run_file(data_dir).get("ports")
    if not isinstance(ports, dict):
        return f"no cloudcore has run in {data_dir}"
    try:
        with _ask(data_dir, ports) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace").strip()
    except (OSError, KeyError, ValueError) as error:
        return f"no answer: {error}"
    return ""


def _ask(data_dir: Path, ports: dict[str, int]) -> urllib.request._UrlopenRet:
    if "api_port" not in ports:
        return urllib.request.urlopen(f"http://127.0.0.1:{ports['metrics_port']}/metrics", timeout=TIMEOUT_S)
    trusted = ssl.create_default_context(cafile=str(data_dir / "pki" / "ca.crt"))
    trusted.check_hostname = False  # Loopback need not be among the names that the certificate is for.
    return urllib.request.urlopen(f"https://127.0.0.1:{ports['api_port']}/readyz", timeout=TIMEOUT_S, context=trusted)


def main() -> int:
    """Return the exit status, and say what is wrong."""
    fault = fault_of(Path(os.environ.get("CLOUDCORE_DATA_DIR", "")).absolute())
    if fault:
        sys.stderr.write(f"{fault}\n")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
