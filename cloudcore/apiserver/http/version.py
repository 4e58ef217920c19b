"""``/version``: which Kubernetes this server speaks. Sans-IO."""

from __future__ import annotations

import platform
from importlib import metadata

from cloudcore.apiserver.validation.schemas import KUBERNETES_VERSION


def version_info() -> dict[str, str]:
    """Return the ``/version`` document: the pinned Kubernetes version, with this project's as build metadata."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{KUBERNETES_VERSION}+aiokubeedge-{_own_version()}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def _own_version() -> str:
    try:
        return metadata.version("aiokubeedge")
    except metadata.PackageNotFoundError:
        return "0"
