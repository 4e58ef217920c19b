"""Between fork and exec: makes the forked child into the container's process. Used by the supervisor."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # builtin; ``signal`` and its enums would cost each child 5 ms
import os

from edgecore.pods.runtimes.process import records

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_IN_PATH = "executable file not found in PATH"
START_ERROR = 128
"""Exit code of a container whose command could not be executed, as container runtimes report it."""


class Pipes:
    """The pipes between supervisor and child.

    Args:
        joined: Whether both streams go into one pipe; the supervisor then reads that of ``stdout`` and closes its end
            of the other's.

    Attributes:
        stdout: Read end and write end.
        stderr: Read end and write end.
        go: The child waits here until its record is on disk.
        error: The child says here why it could not exec; closed by a successful exec.
    """

    __slots__ = ("error", "go", "stderr", "stdout")

    def __init__(self, *, joined: bool = False) -> None:
        self.stdout = os.pipe()
        self.stderr = (os.dup(self.stdout[0]), os.dup(self.stdout[1])) if joined else os.pipe()
        self.go = os.pipe()
        self.error = os.pipe()

    def close(self) -> None:
        """Close everything: there will be no child."""
        for descriptor in (*self.stdout, *self.stderr, *self.go, *self.error):
            os.close(descriptor)

    def close_child_ends(self) -> None:
        """In the supervisor: close what only the child uses."""
        for descriptor in (self.stdout[1], self.stderr[1], self.go[0], self.error[1]):
            os.close(descriptor)


def release(pipes: Pipes) -> str:
    """Let the child exec; return why it could not, or an empty string."""
    try:
        os.write(pipes.go[1], b"g")
    except BrokenPipeError:
        pass  # It was killed while it waited; its exit will tell.
    os.close(pipes.go[1])
    error = os.read(pipes.error[0], 1024).decode(errors="replace")
    os.close(pipes.error[0])
    return error


def fork(spec: records.Fields, pipes: Pipes) -> int:
    """Start a child that becomes what ``spec`` says when it is released, and return its pid.

    Raises:
        OSError: There is no room for another process; the pipes are closed.
    """
    try:
        pid = os.fork()
    except OSError:
        pipes.close()
        raise
    if pid == 0:
        become(spec, pipes)
    pipes.close_child_ends()
    return pid


def become(spec: records.Fields, pipes: Pipes) -> None:
    """In the child: wait for the go-ahead and exec the container's command. Never returns."""
    try:
        os.setsid()
        os.close(pipes.go[1])
        if not os.read(pipes.go[0], 1):
            os._exit(START_ERROR)
        _execute(spec, pipes)
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else ""
        os.write(pipes.error[1], f"{name}: {error.strerror}".lstrip(": ").encode(errors="replace"))
    finally:
        os._exit(START_ERROR)


def _execute(spec: records.Fields, pipes: Pipes) -> None:
    one = dict(spec)
    argv = [value for name, value in spec if name == "arg"]
    environment = dict(value.split("=", 1) for name, value in spec if name == "env")
    # Before anything is done in the container's name, and while this is still the agent's user.
    _join([value for name, value in spec if name == "join"])
    _offer(one.get("oom_score", ""))
    _set_streams(pipes)
    _reset_signals()
    if "account" in one:
        _show_account(one["account"])
    os.chdir(one["cwd"])
    os.umask(0o022)
    _set_user(one, [int(value) for name, value in spec if name == "groups"])
    os.execve(_find(argv[0], environment.get("PATH", DEFAULT_PATH)), argv, environment)


def _join(groups: list[str]) -> None:
    """Enter control groups, by their ``cgroup.procs``."""
    for path in groups:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.write(descriptor, b"0")
        os.close(descriptor)


def _offer(score: str) -> None:
    """Say how good a victim this is when memory ends. Who may not lower it keeps what it has."""
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(descriptor, score.encode())
        os.close(descriptor)
    except OSError:
        return


def _set_streams(pipes: Pipes) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    for descriptor, target in ((null, 0), (pipes.stdout[1], 1), (pipes.stderr[1], 2)):
        os.dup2(descriptor, target)


def _reset_signals() -> None:
    # Python ignores these two; an ignored signal stays ignored through exec, and a pipeline needs SIGPIPE.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)


def _show_account(source: str) -> None:
    from edgecore.pods.runtimes.process import privatemounts  # only where it is needed: it loads ctypes  # noqa: PLC0415

    try:
        privatemounts.show_account(source)
    except OSError:
        return  # an agent without the right to mount: the volume is in the container's folder all the same


def _set_user(one: dict[str, str], groups: list[int]) -> None:
    if os.geteuid() != 0:
        return
    if "user" in one or "group" in one or groups:
        os.setgroups(groups)
    if "group" in one:
        os.setgid(int(one["group"]))
    elif one.get("user", "0") != "0":
        os.setgid(int(one["user"]))
    if "user" in one:
        os.setuid(int(one["user"]))


def _find(program: str, path: str) -> str:
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = os.path.join(folder or ".", program)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(2, NOT_IN_PATH, program)
