"""The daemon's settings as it uses them: plain and frozen, without the library that checked them.

The command line resolves flags, environment and file (``edgecore.config``) and hands the result over as JSON in the
environment variable :data:`RESOLVED`, then becomes the daemon by exec. They hold no secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from edgecore.thresholds import DEFAULT_HARD
from protocol.errors import UsageError
from protocol.settings import LinkOptions

if TYPE_CHECKING:
    from protocol.logs import Format  # the command line, which only hands settings over, would load structlog and rich

RESOLVED: Final = "EDGECORE_RESOLVED_SETTINGS"

_PATHS: Final = ("static_pods", "mqtt_password_file", "mqtt_ca", "mqtt_certificate")

RELOADABLE: Final = ("log_level", "log_format", "link")
"""What a SIGHUP takes over; everything else needs a restart, which leaves the pods running."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Settings of the agent; ``edgecore.config.Settings`` documents each.

    Attributes:
        data_dir: The data folder.
        stop_pods: End all pods when the agent is stopped.
        offline: Do not dial the cloud; start also where none was ever joined.
        node_name: The node's name where it has not joined; empty for the one known already.
        static_pods: The folder of static pods; None for ``manifests`` in the data folder.
        max_pods: Pods at most.
        hub: Hub addresses that replace those learnt at join; empty to use the learnt ones.
        status_s: Seconds between node statuses while nothing changes.
        runtimes: Names of the runtimes, the default one first; empty for those chosen at join.
        docker_host: Where the Docker Engine listens.
        docker_network: Docker network of pods.
        docker_pause_image: Image of sandboxes; empty for one made here.
        container_pids: Processes and threads that a container may have; 0 for no limit.
        pod_pids: Processes and threads that a pod may have; 0 for no limit of its own.
        cgroup_root: Where pods' control groups are; empty to find a place, ``none`` for none.
        enforce_allocatable: Hold all pods together to what the node has for them.
        reserved_memory_mib: Memory kept from pods, MiB.
        eviction_hard: Thresholds below which pods are ended at once.
        eviction_soft: Thresholds below which they are ended after a grace period.
        eviction_soft_grace_period: Those grace periods.
        eviction_minimum_reclaim: How much beyond its threshold is freed.
        eviction_max_pod_grace_period: The most that a pod ended for a soft threshold has to stop, seconds.
        eviction_pressure_transition_period: How long a pressure condition lasts after its cause.
        metrics_port: Port of the device's Prometheus endpoint; 0 for none.
        metaserver: Serve the Kubernetes API to this device's pods.
        metaserver_port: Its loopback port, which must be had; None for the default, or a free one.
        mqtt: The MQTT broker for devices; empty for none.
        mqtt_user: User there.
        mqtt_password_file: File with the password.
        mqtt_ca: CA of its certificate; None for what the system trusts.
        mqtt_certificate: The client's certificate and key.
        mqtt_version: Version of MQTT.
        device_rate: Messages a second that one device may send.
        link: How this end of the link sends.
        log_level: Least severe level that is logged.
        log_format: How logs are written.
    """

    data_dir: Path
    stop_pods: bool = False
    offline: bool = False
    node_name: str = ""
    static_pods: Path | None = None
    max_pods: int = 110
    hub: tuple[str, ...] = ()
    status_s: float = 300.0
    runtimes: tuple[str, ...] = ()
    docker_host: str = "unix:///var/run/docker.sock"
    docker_network: str = "bridge"
    docker_pause_image: str = ""
    container_pids: int = 4096
    pod_pids: int = 8192
    cgroup_root: str = ""
    enforce_allocatable: bool = True
    reserved_memory_mib: int = 100
    eviction_hard: str = DEFAULT_HARD
    eviction_soft: str = ""
    eviction_soft_grace_period: str = ""
    eviction_minimum_reclaim: str = ""
    eviction_max_pod_grace_period: int = 0
    eviction_pressure_transition_period: str = "5m"
    metrics_port: int = 9092
    metaserver: bool = True
    metaserver_port: int | None = None
    mqtt: str = ""
    mqtt_user: str = ""
    mqtt_password_file: Path | None = None
    mqtt_ca: Path | None = None
    mqtt_certificate: Path | None = None
    mqtt_version: str = "3.1.1"
    device_rate: float = 500.0
    link: LinkOptions = field(default_factory=LinkOptions)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Format = "auto"


@dataclass(frozen=True, slots=True)
class Handover:
    """What the command line hands to the daemon.

    Attributes:
        settings: The resolved settings.
        flags: What was given as flags, to resolve again at SIGHUP.
        file: The YAML file named with ``--config``; empty for the default one.
    """

    settings: AgentSettings
    flags: Mapping[str, Any]
    file: str


def receive(environment: Mapping[str, str]) -> Handover:
    """Return what the command line handed over.

    Raises:
        UsageError: The process was not started by the ``edgecore`` command.
    """
    try:
        handed = json.loads(environment[RESOLVED])
        return Handover(settings_from(handed["settings"]), handed["flags"], handed["file"])
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise UsageError("start the agent with `edgecore run`") from error


def settings_from(values: Mapping[str, Any]) -> AgentSettings:
    """Return settings from their JSON form.

    Raises:
        TypeError: A name is unknown or one is missing.
        KeyError: The data folder is missing.
    """
    plain = {
        **values,
        "data_dir": Path(values["data_dir"]),
        **{name: Path(values[name]) if values.get(name) else None for name in _PATHS},
        "hub": tuple(values.get("hub", ())),
        "runtimes": tuple(values.get("runtimes", ())),
        "link": LinkOptions(**values.get("link", {})),
    }
    return AgentSettings(**plain)
