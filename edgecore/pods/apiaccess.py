"""How pods find the Kubernetes API on their device: what in-cluster clients look for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """The API that the device serves to its pods.

    Attributes:
        port: Where it listens.
        authority_pem: Certificate of the authority that vouches for it; beside the cloud's in each ``ca.crt``.
        host: Its address for pods in the node's network.
        gateway: Its address for pods with a network of their own; empty where they cannot reach it.
    """

    port: int
    authority_pem: str
    host: str = "127.0.0.1"
    gateway: str = ""

    def variables(self, *, own_network: bool) -> Mapping[str, str]:
        """Return what Kubernetes puts into each container's environment for the Service ``kubernetes``.

        Args:
            own_network: Whether the pod has a network of its own.
        """
        host, port = self.gateway if own_network else self.host, str(self.port)
        if not host:
            return {}
        url = f"tcp://{host}:{port}"
        found = {"HOST": host, "PORT": port, "PORT_HTTPS": port}
        named = {f"KUBERNETES_SERVICE_{name}": value for name, value in found.items()}
        whole = f"KUBERNETES_PORT_{port}_TCP"
        named |= {"KUBERNETES_PORT": url, whole: url, f"{whole}_PROTO": "tcp"}
        return named | {f"{whole}_PORT": port, f"{whole}_ADDR": host}
