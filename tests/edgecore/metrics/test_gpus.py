from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from edgecore.metrics.gpus import Gpus, GpuUse


class NVMLError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A driver with two graphics processors; there is none on the machines that run this."""
    module: Any = ModuleType("pynvml")
    module.NVMLError = NVMLError
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: 2
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=30 + 40 * handle)
    module.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(used=1 << 30, total=8 << 30)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


@pytest.fixture
def control(tmp_path: Path) -> Path:
    path = tmp_path / "nvidiactl"
    path.touch()
    return path


def failing(*_: Any) -> Any:
    raise NVMLError("the driver was unloaded")


def test_each_processor_is_told(nvml: Any, control: Path) -> None:
    assert Gpus(control).use() == [GpuUse(0.3, 1 << 30, 8 << 30), GpuUse(0.7, 1 << 30, 8 << 30)]


def test_most_devices_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus(tmp_path / "missing").use() == []


def test_a_driver_without_the_library_is_no_failure(control: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus(control).use() == []


def test_a_driver_that_fails_is_no_failure_of_ours(nvml: Any, control: Path) -> None:
    found = Gpus(control)
    nvml.nvmlDeviceGetMemoryInfo = failing
    assert found.use() == []
    nvml.nvmlInit = failing
    assert Gpus(control).use() == []
