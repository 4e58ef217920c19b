"""Settings of the cloud daemon: flags, then environment (``CLOUDCORE_…``), then ``cloudcore.yaml``.

The command line checks them once and hands the resolved settings to the daemon process; a SIGHUP makes the daemon
read environment and file again and take over what may change while it runs (:data:`RELOADABLE`).
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from protocol.configuration import DaemonSettings, resolve, sources_of, split_at_commas
from protocol.linkconfiguration import LinkSection, gather_flags
from protocol.urls import fault_of_host, fault_of_url

RESOLVED: Final = "CLOUDCORE_RESOLVED_SETTINGS"
"""Environment variable that hands the settings from the command line to the daemon process. They hold no secrets."""
RELOADABLE: Final = frozenset({"link", "log_level", "max_pending_pods"})
PORTS: Final = ("api_port", "ws_port", "quic_port", "enrol_port", "metrics_port")

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(DaemonSettings):
    """Everything that can be set. Each field is a flag, an environment variable and a key of the YAML file."""

    program = "cloudcore"
    model_config = sources_of(program)

    data_dir: Path = Field(description="Folder of the database, the certificate authority and admin.kubeconfig.")
    store: Literal["sqlite", "kubernetes"] = Field(
        default="sqlite",
        description="Where objects are: sqlite, in the data folder; or kubernetes, a cluster's API server, beside "
        "which this daemon then works instead of serving an API of its own.",
    )
    kubeconfig: Path | None = Field(
        default=None,
        description="With --store kubernetes: the kubeconfig of the cluster. Default: the pod's service account.",
    )
    context: str = Field(default="", description="With --store kubernetes: the context in the kubeconfig.")
    kube_qps: float = Field(
        default=200.0,
        gt=0.0,
        description="With --store kubernetes: requests a second to its API server, twice at once.",
    )
    listen: str = Field(default="0.0.0.0", description="Address to listen on.")
    advertise: Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)] = Field(
        default_factory=list,
        description="Names and addresses, separated by commas, under which edges and kubectl reach this machine; "
        "they go into the server certificates, the kubeconfig and the enrolment answer. "
        "Default: the host's name and address, and localhost.",
    )
    api_port: Port = Field(default=6443, description="Kubernetes API (HTTPS). 0 takes a free port.")
    ws_port: Port = Field(default=10000, description="Hub for edges over WebSocket (mutual TLS).")
    quic_port: Port = Field(default=10001, description="Reserved for the hub over QUIC (UDP); not served yet.")
    enrol_port: Port = Field(default=10002, description="Enrolment of new nodes (HTTPS).")
    metrics_port: Port = Field(default=9091, description="Prometheus metrics (HTTP, on 127.0.0.1).")
    max_pending_pods: int = Field(
        default=10_000,
        ge=1,
        description="Pods that may wait for the scheduler at once; further creations are answered 429.",
    )
    node_grace_s: float = Field(
        default=40.0, ge=5.0, description="Seconds without a heartbeat until a node is NotReady."
    )
    heartbeat_s: float = Field(default=10.0, ge=1.0, le=300.0, description="Seconds between a node's heartbeats.")
    otlp_endpoint: str = Field(
        default="",
        description="OpenTelemetry collector to send the traces of followed versions to, over OTLP/HTTP, such as "
        "http://127.0.0.1:4318; needs the extra otel. Default: what OTEL_EXPORTER_OTLP_ENDPOINT says, else none.",
    )

    link: LinkSection = Field(default_factory=LinkSection, description="How this end of the links to nodes sends.")

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str, info: ValidationInfo) -> str:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise ValueError("an IP address of this machine is needed, such as 0.0.0.0 or 127.0.0.1") from None
        return value

    @field_validator("advertise")
    @classmethod
    def _hosts(cls, value: list[str]) -> list[str]:
        for name in value:
            if (fault := fault_of_host(name)) is not None:
                raise ValueError(fault)
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value and (fault := fault_of_url(value)) is not None:
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _grace_above_heartbeat(self) -> Self:
        if self.node_grace_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"node_grace_s ({self.node_grace_s:g}) must be at least twice heartbeat_s ({self.heartbeat_s:g}), "
                "or healthy nodes are taken for lost"
            )
        return self

    @model_validator(mode="after")
    def _cluster_only_with_its_store(self) -> Self:
        given = [name for name in ("kubeconfig", "context") if name in self.model_fields_set and getattr(self, name)]
        if given and self.store != "kubernetes":
            raise ValueError(f"{given[0]} goes with store kubernetes")
        return self

    @property
    def explicit_ports(self) -> frozenset[str]:
        """The ports somebody asked for: a port in use is then an error, never replaced by another."""
        return frozenset(PORTS) & self.model_fields_set

    @property
    def names(self) -> list[str]:
        """The advertised names and addresses, never empty."""
        return self.advertise or default_names(self.listen)


def load(flags: dict[str, Any], config: Path | None) -> Settings:
    """Resolve the settings.

    Args:
        flags: What was given on the command line; absent keys fall through to environment and file.
        config: The YAML file; None takes ``cloudcore.yaml`` in the data folder, where there is one.

    Raises:
        UsageError: A value is wrong, or the file cannot be read. One line.
    """
    return resolve(Settings, gather_flags(flags), config)


def default_names(listen: str) -> list[str]:
    """Return the names to advertise when none were given: this host's, as far as ``listen`` lets others in."""
    if ipaddress.ip_address(listen).is_loopback:
        return [listen, "localhost"]
    addresses = [listen] if not ipaddress.ip_address(listen).is_unspecified else _own_addresses()
    return list(dict.fromkeys([*addresses, socket.gethostname(), "localhost", "127.0.0.1"]))


def _own_addresses() -> list[str]:
    """Return the host's address on its default route; connecting a UDP socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return [str(probe.getsockname()[0])]
    except OSError:
        return []
