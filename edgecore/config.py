"""Settings of the edge agent: flags, then environment (``EDGECORE_…``), then ``edgecore.yaml`` in the data folder.

Run as a program (``python -m edgecore.config``) it reads ``{"flags": …, "file": …}`` on standard input and prints the
resolved settings as JSON: so the agent reads them again at SIGHUP without ever loading what checks them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from edgecore.thresholds import DEFAULT_HARD, eviction_settings
from protocol.configuration import DaemonSettings, resolve, sources_of, split_at_commas
from protocol.errors import UsageError
from protocol.linkconfiguration import LinkSection, gather_flags
from protocol.objects.durations import parse_duration

RUNTIMES: Final = ("process", "docker")
"""The runtimes there are."""


class Settings(DaemonSettings):
    """Everything that can be set. Each field is a flag, an environment variable and a key of the YAML file."""

    program = "edgecore"
    model_config = sources_of(program)

    data_dir: Path = Field(description="Folder of the identity, the meta store and the pods.")
    stop_pods: bool = Field(default=False, description="End all pods when the agent is stopped.")
    offline: bool = Field(
        default=False, description="Do not dial the cloud; a device that has never joined one starts all the same."
    )
    node_name: str = Field(default="", description="Name of a node that has not joined a cloud, with --offline.")
    static_pods: Path | None = Field(
        default=None, description="Folder of static pods' manifests. (default: manifests in the data folder)"
    )
    max_pods: int = Field(default=110, ge=1, le=1000, description="Pods that may run here at most.")
    hub: Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)] = Field(
        default_factory=list,
        description="Hub addresses (wss://HOST:PORT, separated by commas) instead of those learnt when joining.",
    )
    status_s: float = Field(
        default=300.0, ge=10.0, le=3600.0, description="Seconds between node statuses while nothing changes."
    )
    runtimes: Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)] = Field(
        default_factory=list,
        description="Runtimes for pods (process, docker; separated by commas), the first for those that name none, "
        "instead of those chosen when joining.",
    )
    docker_host: str = Field(
        default="unix:///var/run/docker.sock",
        description="Where the Docker Engine, or Podman, listens: unix://…, tcp://… or ssh://….",
    )
    docker_network: str = Field(
        default="bridge", min_length=1, description="Docker network of pods that do not use the host's."
    )
    docker_pause_image: str = Field(
        default="", description="Image of pods' sandboxes; empty for one that the agent makes itself, offline too."
    )
    container_pids: int = Field(
        default=4096, ge=0, description="Processes and threads that a container may have; 0 for no limit."
    )
    pod_pids: int = Field(
        default=8192, ge=0, description="Processes and threads that a pod may have; 0 for no limit of its own."
    )
    cgroup_root: str = Field(
        default="",
        description="Where pods' control groups are, below the top of each hierarchy; empty for what systemd has "
        "given the agent, else /aiokubeedge/NODE; none for no control groups.",
    )
    enforce_allocatable: bool = Field(
        default=True, description="Hold all pods together to what the node has for them, where that is allowed."
    )
    reserved_memory_mib: int = Field(default=100, ge=0, description="Memory kept from pods for the system, MiB.")
    eviction_hard: str = Field(
        default=DEFAULT_HARD,
        description="Below these, pods are ended at once (SIGNAL<AMOUNT or SHARE%, separated by commas); none for "
        "never. A signal that is left out has no threshold.",
    )
    eviction_soft: str = Field(default="", description="Below these, pods are ended after a grace period.")
    eviction_soft_grace_period: str = Field(
        default="", description="How long each soft threshold may last (memory.available=1m30s,...)."
    )
    eviction_minimum_reclaim: str = Field(
        default="", description="How much beyond its threshold is freed (memory.available=0Mi,nodefs.available=500Mi)."
    )
    eviction_max_pod_grace_period: int = Field(
        default=0, ge=0, description="Seconds that a pod ended for a soft threshold has to stop, at most."
    )
    eviction_pressure_transition_period: str = Field(
        default="5m", description="For so long a node's pressure condition lasts after what it tells of has passed."
    )
    metrics_port: int = Field(
        default=9092, ge=0, le=65535, description="Loopback port of this device's Prometheus metrics; 0 for none."
    )
    metaserver: bool = Field(default=True, description="Serve the Kubernetes API to this device's pods.")
    metaserver_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Loopback port of that API. (default: 10550, or a free one where that is taken)",
    )
    mqtt: str = Field(default="", description="MQTT broker for devices: mqtt://HOST:1883 or mqtts://HOST:8883.")
    mqtt_user: str = Field(default="", description="User at the broker.")
    mqtt_password_file: Path | None = Field(default=None, description="File with that user's password.")
    mqtt_ca: Path | None = Field(
        default=None, description="CA that signed the broker's certificate, PEM. (default: what the system trusts)"
    )
    mqtt_certificate: Path | None = Field(
        default=None, description="This client's certificate and key in one file, PEM, where the broker asks for one."
    )
    mqtt_version: Literal["3.1.1", "5"] = Field(default="3.1.1", description="Version of MQTT (3.1.1 or 5).")
    device_rate: float = Field(
        default=500.0, gt=0, description="Messages a second that one device may send; twice that at once."
    )

    link: LinkSection = Field(default_factory=LinkSection, description="How this end of the link to the cloud sends.")

    @field_validator("mqtt")
    @classmethod
    def _a_broker(cls, value: str) -> str:
        if value and not value.startswith(("mqtt://", "mqtts://")):
            raise ValueError("the broker's address looks like mqtt://127.0.0.1:1883 or mqtts://HOST:8883")
        return value

    @field_validator("mqtt_password_file", "mqtt_ca", "mqtt_certificate")
    @classmethod
    def _a_file(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("static_pods")
    @classmethod
    def _one_path(cls, value: Path | None) -> Path | None:
        # The path is a part of the pods' uids: it must not depend on where the agent is started.
        return None if value is None else value.expanduser().absolute()

    @field_validator("eviction_pressure_transition_period")
    @classmethod
    def _a_duration(cls, value: str) -> str:
        parse_duration(value)
        return value

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        eviction_settings(
            self.eviction_hard, self.eviction_soft, self.eviction_soft_grace_period, self.eviction_minimum_reclaim
        )
        return self

    @field_validator("runtimes")
    @classmethod
    def _known_runtimes(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in RUNTIMES:
                raise ValueError(f"{name!r} is no runtime of this edgecore: it has {', '.join(RUNTIMES)}")
        return list(dict.fromkeys(value))

    @field_validator("docker_host")
    @classmethod
    def _engine_address(cls, value: str) -> str:
        if not value.startswith(("unix:///", "tcp://", "ssh://", "http://", "https://")):
            raise ValueError("the Docker Engine's address looks like unix:///var/run/docker.sock")
        return value

    @field_validator("cgroup_root")
    @classmethod
    def _a_path_within(cls, value: str) -> str:
        path = value.split("/")
        if value not in ("", "none") and (path[0] or ".." in path or not any(path)):
            raise ValueError("the root of control groups looks like /aiokubeedge/edge-1, or is none")
        return value

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
