"""Where one cloud lives: its data folder, its authority and certificates, its listening sockets."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import structlog

from cloudcore.config import Settings
from cloudcore.hub.server import hub_url
from cloudcore.security.accountkeys import AccountKeys
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.serving import server_context, server_credential, write_admin_kubeconfig
from cloudcore.sockets import DATABASE, Listeners, read_run_file, write_run_file
from protocol.errors import UsageError
from protocol.objects.times import timestamp

log = structlog.get_logger(__name__)

KUBECONFIG: Final = "admin.kubeconfig"
_TCP_PORTS: Final = ("api_port", "ws_port", "enrol_port", "metrics_port")
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Kubernetes cluster that a cloud stands beside.

    Attributes:
        api_url: Its API server.
        kubeconfig: The way in; None for the service account of the pod that this is.
        context: The context in that file; empty for the current one.
    """

    api_url: str
    kubeconfig: Path | None
    context: str


@dataclass(slots=True)
class Place:
    """The daemon's folder and sockets. Made by :meth:`open`; give it back with :meth:`close`."""

    data_dir: Path
    names: list[str]
    authority: CertificateAuthority
    certificate: tuple[Path, Path]
    sockets: dict[str, socket.socket]
    started_at: float
    account_keys: AccountKeys
    cluster: Cluster | None = None

    @classmethod
    def open(cls, settings: Settings, *, now: float, cluster: Cluster | None = None) -> Self:
        """Make or open the folder, the authority and the certificates, and bind the ports.

        Args:
            settings: Which.
            now: Seconds since the epoch.
            cluster: The cluster whose API is served by others: there is no port for one here, and no administrator.

        Raises:
            UsageError: The folder cannot be written, the authority is damaged, or a port cannot be had.
        """
        data_dir, names = settings.data_dir, settings.names
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            authority = CertificateAuthority.load_or_create(data_dir / "pki", now)
            certificate = server_credential(authority, data_dir / "pki", names, now)
            account_keys = AccountKeys.load_or_create(data_dir / "pki")
        except OSError as exc:
            raise UsageError(f"the data folder {data_dir} cannot be used: {exc.strerror or exc}") from exc
        listeners = Listeners(settings.listen, recorded=_recorded_ports(data_dir))
        for name in _TCP_PORTS if cluster is None else _TCP_PORTS[1:]:
            listeners.bind(
                name,
                getattr(settings, name),
                explicit=name in settings.explicit_ports,
                host=_LOOPBACK if name == "metrics_port" else None,
            )
        place = cls(data_dir, names, authority, certificate, listeners.bound, now, account_keys, cluster)
        if cluster is not None:
            return place
        try:
            write_admin_kubeconfig(authority, place.kubeconfig, place.api_url, now)
        except OSError as exc:  # a disk that is full lets the folder be read, not be written
            place.close()
            raise UsageError(f"cannot write into {data_dir}: {exc.strerror or exc}") from exc
        return place

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.data_dir / DATABASE

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; none of ours where the cluster is another's."""
        return self.data_dir / KUBECONFIG if self.cluster is None else self.cluster.kubeconfig or Path()

    @property
    def ports(self) -> dict[str, int]:
        """The bound ports by setting name."""
        return {name: int(sock.getsockname()[1]) for name, sock in self.sockets.items()}

    @property
    def api_url(self) -> str:
        """The API's URL, under the first advertised name."""
        if self.cluster is not None:
            return self.cluster.api_url
        return f"https://{_bracketed(self.names[0])}:{self.ports['api_port']}"

    def hub_urls(self) -> list[str]:
        """Return the hub's URLs, one for each advertised name, in their order."""
        return [hub_url(name, self.ports["ws_port"]) for name in self.names]

    def tls(self, clients: ssl.VerifyMode) -> ssl.SSLContext:
        """Return a server's TLS context that treats client certificates as ``clients`` says."""
        return server_context(*self.certificate, ca=self.authority, clients=clients)

    def announce(self, *, ready: bool) -> None:
        """Record this run in the folder: for ``cloudcore status``, and so that the ports stay the same.

        A full disk is no reason not to serve: that this run is not recorded is logged.
        """
        record: dict[str, object] = {
            "pid": os.getpid(),
            "ready": ready,
            "started": timestamp(self.started_at),
            "ports": self.ports,
            "names": self.names,
            "api": self.api_url,
            "join": f"https://{_bracketed(self.names[0])}:{self.ports['enrol_port']}",
            "kubeconfig": str(self.kubeconfig),
        }
        if self.cluster is not None:
            path = self.cluster.kubeconfig
            record |= {
                "store": "kubernetes",
                "kubeconfig": str(path.absolute()) if path else "",
                "context": self.cluster.context,
            }
        try:
            write_run_file(self.data_dir, record)
        except OSError as exc:
            log.warning("this run is not recorded", cause=exc.strerror or str(exc))

    def close(self) -> None:
        """Close the listening sockets."""
        for sock in self.sockets.values():
            sock.close()


def _recorded_ports(data_dir: Path) -> dict[str, int]:
    ports = read_run_file(data_dir).get("ports")
    return {name: port for name, port in ports.items() if isinstance(port, int)} if isinstance(ports, dict) else {}


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name
