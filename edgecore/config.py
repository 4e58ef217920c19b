"""Settings of the edge agent: flags, then environment (``EDGECORE_…``), then ``edgecore.yaml`` in the data folder.

Run as a program (``python -m edgecore.config``) it reads ``{"flags": …, "file": …}`` on standard input and prints the
resolved settings as JSON: so the agent reads them again at SIGHUP without ever loading what checks them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from protocol.errors import UsageError

DEFAULT_FILE: Final = "edgecore.yaml"


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """Everything that can be set. Each field is a flag, an environment variable and a key of the YAML file."""

    model_config = SettingsConfigDict(env_prefix="EDGECORE_", extra="forbid", frozen=True)

    data_dir: Path = Field(description="Folder of the identity, the meta store and the pods.")
    stop_pods: bool = Field(default=False, description="End all pods when the agent is stopped.")
    max_pods: int = Field(default=110, ge=1, le=1000, description="Pods that may run here at most.")
    hub: Annotated[list[str], NoDecode, BeforeValidator(_split)] = Field(
        default_factory=list,
        description="Hub addresses (wss://HOST:PORT, separated by commas) instead of those learnt when joining.",
    )
    status_s: float = Field(
        default=300.0, ge=10.0, le=3600.0, description="Seconds between node statuses while nothing changes."
    )
    reserved_memory_mib: int = Field(default=100, ge=0, description="Memory kept from pods for the system, MiB.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, JSON otherwise."
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("hub")
    @classmethod
    def _web_sockets(cls, value: list[str]) -> list[str]:
        for url in value:
            if not url.startswith(("wss://", "ws://")):
                raise ValueError("hub addresses look like wss://HOST:10000")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: flags, environment, file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load(flags: dict[str, Any], config: Path | None) -> Settings:
    """Resolve the settings.

    Args:
        flags: What was given on the command line; absent keys fall through to environment and file.
        config: The YAML file; None takes ``edgecore.yaml`` in the data folder, where there is one.

    Raises:
        UsageError: A value is wrong, or the file cannot be read. One line.
    """
    path = config or Path(flags.get("data_dir", ".")).expanduser() / DEFAULT_FILE
    if config is not None and not path.is_file():
        raise UsageError(f"configuration file {config} cannot be read: no such file")

    class WithFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path, env_prefix="EDGECORE_", extra="forbid", frozen=True)

    try:
        return WithFile(**flags)
    except ValidationError as exc:
        raise UsageError(_one_line(exc)) from exc
    except (YAMLError, OSError, ValueError, TypeError) as exc:
        raise UsageError(f"configuration file {path} cannot be read: {' '.join(str(exc).split())}") from exc


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "missing":
        return f"--{name.replace('_', '-')} is needed"
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; `edgecore run --help` lists them"
    return f"setting {name}: {first['msg']} (got {first['input']!r})"


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
