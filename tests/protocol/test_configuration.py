from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from protocol.configuration import DaemonSettings, resolve, sources_of, split_at_commas
from protocol.errors import UsageError


class Settings(DaemonSettings):
    program = "testcore"
    model_config = sources_of(program)

    pods: int = Field(default=1, ge=1)
    names: Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)] = Field(default_factory=list)


def test_flags_win_over_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "testcore.yaml").write_text("pods: 2\nlog_level: debug\nlog_format: json\n")
    monkeypatch.setenv("TESTCORE_PODS", "3")
    monkeypatch.setenv("TESTCORE_LOG_FORMAT", "console")
    settings = resolve(Settings, {"data_dir": str(tmp_path), "pods": 4}, None)
    assert (settings.pods, settings.log_format, settings.log_level) == (4, "console", "debug")


def test_the_file_is_found_in_a_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "testcore.yaml").write_text("pods: 2\n")
    monkeypatch.setenv("TESTCORE_DATA_DIR", str(tmp_path))
    assert resolve(Settings, {}, None).pods == 2


def test_a_list_is_written_in_one_string_or_as_one(tmp_path: Path) -> None:
    (tmp_path / "testcore.yaml").write_text("names: [a, b]\n")
    assert resolve(Settings, {"data_dir": tmp_path}, None).names == ["a", "b"]
    assert resolve(Settings, {"data_dir": tmp_path, "names": "c, d,"}, None).names == ["c", "d"]


def test_the_data_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(Settings, {"data_dir": "cloud"}, None).data_dir == tmp_path / "cloud"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "^--data-dir is needed$"),
        ({"pods": 0}, "^setting pods: .*greater than or equal to 1.* \\(got 0\\)$"),
        ({"colour": "red"}, "^unknown setting 'colour'; `testcore run --help` lists them$"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_to_do(
    flags: dict[str, object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        resolve(Settings, {"data_dir": "."} | flags if flags else {}, None)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        resolve(Settings, {"data_dir": tmp_path}, tmp_path / "none.yaml")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "testcore.yaml").write_text("a: [1\nb")
    with pytest.raises(UsageError, match=r"^configuration file .*testcore\.yaml cannot be read: [^\n]+$"):
        resolve(Settings, {"data_dir": tmp_path}, None)


def test_a_section_in_the_environment_that_is_no_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Section(BaseModel):
        size: int = 1

    class Sectioned(Settings):
        link: Section = Field(default_factory=Section)

    monkeypatch.setenv("TESTCORE_LINK", "fast")
    with pytest.raises(UsageError, match="environment variable TESTCORE_LINK is no JSON"):
        resolve(Sectioned, {"data_dir": tmp_path}, None)
