"""What can be set of the Docker runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """Settings of :class:`edgecore.pods.runtimes.docker.runtime.DockerRuntime`.

    Attributes:
        host: Where the engine listens: ``unix:///var/run/docker.sock``, ``tcp://…`` or ``ssh://…``.
        owner: Tells this agent's containers from those of other agents on the same engine; lasts as the node does.
        root: The runtime's folder, for termination messages. The engine sees it under the same path.
        network: Docker network of pods that do not use the host's.
        pause_image: Image of sandboxes; empty for one that is made on the spot.
        seccomp_dir: Folder of the profiles that pods may name (``seccompProfile: Localhost``).
        pids_limit: Processes and threads per container where the pod's own limit is not stated; 0 for no limit.
        log_bytes: Size at which a log is rotated.
        log_files: Files kept per container instance, the current one included.
        answer_timeout_s: How long the engine may take to answer, pulls excepted.
        pull_stall_s: A pull that makes no progress for so long is given up.
        pulls: Images pulled at once.
        image_high: Share of the disk in use at which images that nobody uses are removed.
        image_low: Share that is aimed at then.
        image_min_age_s: An image is kept at least so long after it was last seen in use.
        garbage_every_s: Seconds between looks at what could be removed.
    """

    host: str
    owner: str
    root: Path
    network: str = "bridge"
    pause_image: str = ""
    seccomp_dir: Path = Path("/var/lib/kubelet/seccomp")
    pids_limit: int = 4096
    log_bytes: int = 10 << 20
    log_files: int = 5
    answer_timeout_s: float = 60.0
    pull_stall_s: float = 60.0
    pulls: int = 3
    image_high: float = 0.85
    image_low: float = 0.80
    image_min_age_s: float = 120.0
    garbage_every_s: float = 300.0
