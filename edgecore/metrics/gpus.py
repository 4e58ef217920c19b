"""NVIDIA graphics processors, where there are some: most devices have none, and that is normal.

NVML is asked through the module ``pynvml`` (``pip install 'aiokubeedge[gpu]'``), which is imported only where the
driver's device file exists.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("edgecore.metrics")


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One graphics processor now.

    Attributes:
        busy: 0 to 1.
        memory_used_bytes: Of its own memory.
        memory_total_bytes: Its own memory.
    """

    busy: float
    memory_used_bytes: int
    memory_total_bytes: int


class Gpus:
    """The graphics processors of this machine, found once.

    Args:
        control: The driver's device file; without it nothing is looked for.
    """

    def __init__(self, control: Path = Path("/dev/nvidiactl")) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        if not control.exists():
            return
        try:
            self._nvml = importlib.import_module("pynvml")
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
            self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except ImportError:
            log.info("graphics processors are not measured", cause="pynvml is not installed")
        except self._nvml.NVMLError as error:
            log.warning("graphics processors are not measured", cause=str(error))

    def use(self) -> list[GpuUse]:
        """Return how each that answers is used; empty where there are none."""
        return [used for used in map(self._used, self._handles) if used is not None]

    def _used(self, handle: Any) -> GpuUse | None:
        try:
            rates = self._nvml.nvmlDeviceGetUtilizationRates(handle)
            memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        except self._nvml.NVMLError:
            return None
        return GpuUse(rates.gpu / 100, int(memory.used), int(memory.total))
