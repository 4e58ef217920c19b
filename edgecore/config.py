"""Settings of the edge agent: flags, then environment (``EDGECORE_…``), then ``edgecore.yaml`` in the data folder.

Run as a program (``python -m edgecore.config``) it reads ``{"flags": …, "file": …}`` on standard input and prints the
resolved settings as JSON: so the agent reads them again at SIGHUP without ever loading what checks them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from protocol.configuration import DaemonSettings, resolve, sources_of, split_at_commas
from protocol.errors import UsageError
from protocol.linkconfiguration import LinkSection, gather_flags


class Settings(DaemonSettings):
    """Everything that can be set. Each field is a flag, an environment variable and a key of the YAML file."""

    program = "edgecore"
    model_config = sources_of(program)

    data_dir: Path = Field(description="Folder of the identity, the meta store and the pods.")
    stop_pods: bool = Field(default=False, description="End all pods when the agent is stopped.")
    max_pods: int = Field(default=110, ge=1, le=1000, description="Pods that may run here at most.")
    hub: Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)] = Field(
        default_factory=list,
        description="Hub addresses (wss://HOST:PORT, separated by commas) instead of those learnt when joining.",
    )
    status_s: float = Field(
        default=300.0, ge=10.0, le=3600.0, description="Seconds between node statuses while nothing changes."
    )
    reserved_memory_mib: int = Field(default=100, ge=0, description="Memory kept from pods for the system, MiB.")

    link: LinkSection = Field(default_factory=LinkSection, description="How this end of the link to the cloud sends.")

    @field_validator("hub")
    @classmethod
    def _web_sockets(cls, value: list[str]) -> list[str]:
        for url in value:
            if not url.startswith(("wss://", "ws://")):
                raise ValueError("hub addresses look like wss://HOST:10000")
        return value


def load(flags: dict[str, Any], config: Path | None) -> Settings:
    """Resolve the settings.

    Args:
        flags: What was given on the command line; absent keys fall through to environment and file.
        config: The YAML file; None takes ``edgecore.yaml`` in the data folder, where there is one.

    Raises:
        UsageError: A value is wrong, or the file cannot be read. One line.
    """
    return resolve(Settings, gather_flags(flags), config)


def main() -> None:
    """Resolve for the daemon: the request on standard input, the settings or one line of error out."""
    request = json.load(sys.stdin)
    try:
        settings = load(request["flags"], Path(request["file"]) if request["file"] else None)
    except UsageError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the daemon reads and logs it
        sys.exit(2)
    print(settings.model_dump_json())  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
