"""A pod's folder as the agent writes and reads it. Plain file work, done in threads where it syncs to disk."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from edgecore.cgroups import killing
from edgecore.cgroups.drivers import Entry
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, ContainerState, Exit, Mount, StartRefused
from edgecore.pods.runtimes.process import lastwords, proc, records, spawn
from edgecore.pods.trees import remove_tree
from protocol.objects.keys import Uid

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VOLUME_ROOT = "VOLUME_ROOT"
"""Environment variable that names the container's own folder, in which its volumes are."""

LOST_EXIT_CODE = 137

ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where in-cluster clients look for the service account's token, and nowhere else (:mod:`.privatemounts`)."""
_NO_GROUP = Entry()


class PodFolder:
    """One pod's folder below the runtime's root.

    Args:
        root: The runtime's root.
        pod: The pod's uid, which names the folder.
    """

    def __init__(self, root: Path, pod: Uid) -> None:
        if not _SAFE.fullmatch(pod):
            raise StartRefused("CreateContainerConfigError", f"uid {pod!r} cannot name a folder")
        self.pod = pod
        self.path = root / pod
        self.requests = self.path / "supervisor" / "requests"
        self.events = self.path / "supervisor" / "events"

    def make(self) -> None:
        """Make the folder and its FIFOs, where they are missing."""
        for folder, mode in ((self.path, 0o711), (self.path / "supervisor", 0o700), (self.path / "containers", 0o711)):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
        for fifo in (self.requests, self.events):
            if not fifo.exists():
                os.mkfifo(fifo, 0o600)

    def remove(self) -> None:
        """Remove the folder and all in it."""
        remove_tree(self.path)

    def instance(self, container: ContainerId) -> Path:
        """Return the folder of the instance's records."""
        return self.path / "containers" / _safe(container.name) / str(container.attempt)

    def log(self, container: ContainerId) -> Path:
        """Return the path of the instance's log."""
        return self.path / "logs" / _safe(container.name) / f"{container.attempt}.log"

    # --- reading --------------------------------------------------------------------------------------------------

    def states(self) -> list[ContainerState]:
        """Return every instance that was started."""
        found = (self.state(container) for container in self._instances())
        return [state for state in found if state is not None]

    def _instances(self) -> Iterator[ContainerId]:
        containers = self.path / "containers"
        for name in sorted(os.listdir(containers)) if containers.is_dir() else ():
            attempts = [int(entry) for entry in os.listdir(containers / name) if entry.isdigit()]
            for attempt in sorted(attempts):
                yield ContainerId(self.pod, name, attempt)

    def state(self, container: ContainerId) -> ContainerState | None:
        """Return what the instance's records say, or None when it was never started."""
        folder = self.instance(container)
        running = records.read(str(folder / records.RUNNING))
        if running is None:
            return None
        state = ContainerState(
            id=container,
            image=running["image"],
            image_id="",
            runtime_id=f"process://{running['boot']}-{running['pid']}-{running['start']}",
            started_at=float(running["at"]),
        )
        ended = records.read(str(folder / records.EXIT))
        return state if ended is None else replace(state, exit=_exit_of(ended))

    def runs(self, container: ContainerId) -> bool:
        """Tell whether the instance's own first process is alive, whatever its supervisor."""
        running = records.read(str(self.instance(container) / records.RUNNING))
        if running is None or running["boot"] != proc.boot_id():
            return False
        return proc.is_alive(int(running["pid"]), int(running["start"]))

    def give_up(self, container: ContainerId) -> ContainerState:
        """End an instance that has lost its supervisor: kill what is left of it, record that its end is unknown."""
        folder = self.instance(container)
        running = records.read(str(folder / records.RUNNING)) or {}
        same_boot = running["boot"] == proc.boot_id()
        if same_boot:
            group = (records.read(str(folder / records.SPEC)) or {}).get("cgroup")
            if group:
                killing.thaw(os.path.dirname(group))  # the pod's, of v1: what is frozen does not die
                killing.kill(group)
            for pid in proc.session_members(int(running["pid"]), int(running["start"])):
                _kill(pid)
        why = "its supervisor was killed; so was it" if same_boot else "the node restarted while it ran"
        ended: records.Fields = [("at", f"{time.time():.6f}"), ("code", str(LOST_EXIT_CODE)), ("signal", "0")]
        records.write(str(folder / records.EXIT), [*ended, ("reason", "ContainerStatusUnknown"), ("message", why)])
        state = self.state(container)
        assert state is not None
        return state

    # --- writing --------------------------------------------------------------------------------------------------

    def write_spec(self, spec: ContainerSpec, entry: Entry = _NO_GROUP, *, log_bytes: int, log_files: int) -> None:
        """Lay out the instance's folder and record its spec, durably.

        Args:
            spec: The instance.
            entry: Its control group.
            log_bytes: Size at which its log is rotated.
            log_files: Files kept of its log.

        Raises:
            StartRefused: The spec asks for what a process cannot have.
            OSError: The disk refuses.
        """
        if not spec.argv:
            raise StartRefused(
                "CreateContainerConfigError",
                "the process runtime needs spec.containers[].command: there is no image to take it from",
            )
        if spec.security.run_as_non_root and spec.user is None and os.geteuid() == 0:
            message = "container has runAsNonRoot and no runAsUser other than 0"
            raise StartRefused("CreateContainerConfigError", message)
        if os.geteuid() != 0 and spec.user not in (None, os.geteuid()):
            message = f"runAsUser {spec.user}: this agent runs as user {os.geteuid()} and cannot change to another"
            raise StartRefused("CreateContainerConfigError", message)
        folder, log = self.instance(spec.id), self.log(spec.id)
        self._forget_before(spec.id)
        home = self._lay_out_home(spec)
        log.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        environment = {"PATH": spawn.DEFAULT_PATH, "HOME": str(home), VOLUME_ROOT: str(home), **dict(spec.environment)}
        fields = [("cwd", _working_folder(spec, home)), ("image", spec.image), ("log", str(log))]
        fields += [("log_bytes", str(log_bytes)), ("log_files", str(log_files))]
        fields += _message_fields(spec, home)
        fields += [("user", str(spec.user))] if spec.user is not None else []
        fields += [("group", str(spec.group))] if spec.group is not None else []
        fields += [("groups", str(group)) for group in spec.groups]
        fields += [("account", str(mount.source)) for mount in spec.mounts if _is_accounts(mount)]
        fields += [("oom_score", str(spec.resources.oom_score_adj)), *_group_fields(entry)]
        fields += [("arg", argument) for argument in spec.argv]
        fields += [("env", f"{name}={value}") for name, value in environment.items()]
        try:
            records.write(str(folder / records.SPEC), fields)
        except ValueError as error:
            raise StartRefused("CreateContainerConfigError", f"NUL in a command or environment: {error}") from None

    def _forget_before(self, container: ContainerId) -> None:
        for other in list(self._instances()):
            if other.name == container.name and other.attempt < container.attempt - 1:
                remove_tree(self.instance(other))
                log = self.log(other)
                for path in log.parent.glob(f"{log.name}*"):
                    path.unlink()

    def _lay_out_home(self, spec: ContainerSpec) -> Path:
        parent = self.path / "containers" / _safe(spec.id.name)
        parent.mkdir(mode=0o711, exist_ok=True)
        home = parent / "root"
        home.mkdir(mode=0o755, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(home, spec.user or 0, spec.group if spec.group is not None else spec.user or 0)
        # Outer mounts first, so that one mount may lie within another.
        for mount in sorted(spec.mounts, key=lambda mount: len(PurePosixPath(mount.path).parts)):
            try:
                _link(home, mount.path, mount.source)
            except StartRefused:
                # Kubernetes put it there, not the pod's author; it is in its own place too (privatemounts).
                if not _is_accounts(mount):
                    raise
        return home


def _exit_of(fields: dict[str, str]) -> Exit:
    return Exit(
        finished_at=float(fields["at"]),
        exit_code=int(fields["code"]),
        signal=int(fields["signal"]),
        reason=fields["reason"],
        # What a container wrote may be anything; what is reported is text.
        message=os.fsencode(fields["message"]).decode("utf-8", "replace"),
    )


def _message_fields(spec: ContainerSpec, home: Path) -> records.Fields:
    """Make the file for the container's last words; one that cannot be made is done without."""
    owner = (spec.user if spec.user is not None else -1, spec.group if spec.group is not None else -1)
    fields = [("message_from_log", "")] if spec.termination_from_log else []
    try:
        lastwords.make(str(home), spec.termination_path, *(owner if os.geteuid() == 0 else (-1, -1)))
    except (OSError, ValueError):
        return fields
    return [*fields, ("home", str(home)), ("message", spec.termination_path)]


def _group_fields(entry: Entry) -> records.Fields:
    fields = [("join", path) for path in entry.joins]
    fields += [("cgroup", entry.group)] if entry.group else []
    return fields + ([("memory_events", entry.memory_events)] if entry.memory_events else [])


def _safe(name: str) -> str:
    if not _SAFE.fullmatch(name):
        raise StartRefused("CreateContainerConfigError", f"container name {name!r} cannot name a folder")
    return name


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _inside(home: Path, path: str) -> Path:
    parts = PurePosixPath(path.lstrip("/")).parts
    if not parts or ".." in parts:
        raise StartRefused("CreateContainerConfigError", f"mountPath {path!r} does not stay in the container's folder")
    return home.joinpath(*parts)


def _is_accounts(mount: Mount) -> bool:
    """Tell whether the mount is where clients look for the service account, and can be put there."""
    return mount.path == ACCOUNT_PATH and os.geteuid() == 0


def _link(home: Path, mount_path: str, source: Path) -> None:
    target = _inside(home, mount_path)
    folder = home
    for part in target.relative_to(home).parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            message = f"mountPath {mount_path!r} lies within another volume, which the process runtime cannot do"
            raise StartRefused("CreateContainerConfigError", message)
        folder.mkdir(mode=0o755, exist_ok=True)
    if target.is_symlink():
        if os.readlink(target) == str(source):
            return
        target.unlink()
    elif target.exists():
        mode = target.lstat().st_mode
        if not stat.S_ISDIR(mode) or any(target.iterdir()):
            raise StartRefused("CreateContainerConfigError", f"mountPath {mount_path!r}: something is there already")
        target.rmdir()
    target.symlink_to(source)


def _working_folder(spec: ContainerSpec, home: Path) -> str:
    """A relative ``workingDir``, or one within a volume, is in the container's folder; another is the host's."""
    wanted = spec.working_dir
    if not wanted:
        return str(home)
    within_volume = any(PurePosixPath(wanted).is_relative_to(mount.path) for mount in spec.mounts)
    if not wanted.startswith("/") or within_volume:
        return str(_inside(home, wanted))
    return wanted
