"""How both daemons come by their settings: flags, then environment, then a YAML file.

Only command lines and reloads import this; a running agent does without pydantic.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from protocol.errors import UsageError

_SHOWN_CHARACTERS: Final = 100
"""Of a value that is wrong."""


class DaemonSettings(BaseSettings):
    """What both daemons have in common. Each field is a flag, an environment variable and a key of the YAML file.

    A subclass names its ``program``, says what its ``data_dir`` holds, and sets ``model_config`` by
    :func:`sources_of`.
    """

    program: ClassVar[str]
    """The command: ``cloudcore``. Its file is ``cloudcore.yaml``, its environment variables begin ``CLOUDCORE_``."""

    file: ClassVar[Path | None] = None
    """The YAML file, if there may be one."""

    data_dir: Path = Field(description="The daemon's data folder.")
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
        return init_settings, env_settings, InitSettingsSource(settings_cls, cls._content_of_file())

    @classmethod
    def _content_of_file(cls) -> dict[str, Any]:
        """Return what stands in the YAML file; nothing where there is none.

        Raises:
            OSError: It cannot be read.
            YAMLError: It is no YAML.
            ValueError: It does not map names to values.
        """
        if cls.file is None or not cls.file.is_file():
            return {}
        content = yaml.safe_load(cls.file.read_text(encoding="utf-8"))
        if not isinstance(content, dict | None):
            raise ValueError("it is not of the form `setting: value`")
        for name in content or {}:
            if not isinstance(name, str):
                raise ValueError(f"{name!r} is no name of a setting")
        return content or {}


S = TypeVar("S", bound=DaemonSettings)


def sources_of(program: str) -> SettingsConfigDict:
    """Return the ``model_config`` of ``program``'s settings; they know no other names, and do not change.

    An empty environment variable counts as none: who writes a unit or a compose file cannot always leave one out.
    """
    return SettingsConfigDict(
        env_prefix=f"{program.upper()}_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )


def split_at_commas(value: object) -> object:
    """Return the parts of a list that is written in one string; lists of YAML stay as they are."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def resolve(settings: type[S], flags: dict[str, Any], file: Path | None) -> S:
    """Resolve a daemon's settings.

    Args:
        settings: What can be set.
        flags: What was given on the command line; absent keys fall through to environment and file.
        file: The YAML file; None takes ``<program>.yaml`` in the data folder, where there is one.

    Raises:
        UsageError: A value is wrong, or the file cannot be read. One line.
    """
    program = settings.program
    if file is not None and not file.is_file():
        raise UsageError(f"configuration file {file} cannot be read: no such file")
    path = file or _data_dir(program, flags) / f"{program}.yaml"
    members = {"__module__": __name__, "file": path}
    with_file: type[S] = type(settings.__name__, (settings,), members)
    try:
        return with_file(**flags)
    except SettingsError as exc:  # a section's variable that is no JSON: its parts have variables of their own
        raise UsageError(f"environment variable {_variable(exc, program)} is no JSON") from exc
    except ValidationError as exc:
        raise UsageError(_one_line(exc, program)) from exc
    except (yaml.YAMLError, OSError, ValueError, TypeError, RecursionError) as exc:
        raise UsageError(f"configuration file {path} cannot be read: {' '.join(str(exc).split())}") from exc


def _data_dir(program: str, flags: dict[str, Any]) -> Path:
    """Return the folder to look for the file in: the file itself cannot say where it is."""
    return Path(flags.get("data_dir") or os.environ.get(f"{program.upper()}_DATA_DIR") or ".").expanduser()


def _variable(error: SettingsError, program: str) -> str:
    field = str(error).partition('"')[2].partition('"')[0]
    return f"{program}_{field}".upper()


def _one_line(error: ValidationError, program: str) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"--{name.replace('_', '-')} is needed"
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; `{program} run --help` lists them"
    if first["loc"]:
        return f"setting {name}: {message} (got {_shortened(repr(first['input']))})"
    return message


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
