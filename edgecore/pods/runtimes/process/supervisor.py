"""The process that stays with a pod's containers: parent, log writer, and witness of their exit codes.

One per pod, started by the agent and independent of it. A single thread in one ``poll`` loop; it sleeps until a
container writes, a child dies, or the agent rings. What it promises:

* No container process runs that is not in a ``running`` record: the child waits until the record is on disk.
* An exit is on disk before anyone hears of it.
* When a container's first process ends, its control group is killed, which nothing escapes; where there is none, its
  process group, and when the pod's last container ends, every stray that left its group (the supervisor is a
  subreaper, so strays come to it).
* With nothing to run for :data:`IDLE_S`, it leaves. The agent starts a new one when it needs one.

Imports no more than it must (there is one of these per pod): ``_signal`` rather than ``signal``, whose enums cost
0.8 MB.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # builtin; typeshed has only ``signal``
import fcntl
import os
import select
import sys
import time

from edgecore.cgroups import killing
from edgecore.pods.runtimes.process import execs, lastwords, logs, proc, records, spawn

LONGEST_POLL_MS = 86_400_000
"""A poll takes no more than 2**31 - 1 ms, which a probe's timeout may well be over."""
IDLE_S = 30.0
READ_BYTES = 64 * 1024
RETRY_S = 1.0
READY, TAKEN = b"ready", b"taken"
_SIGCHLD, _SIGKILL = 17, 9
UNSAID_LINES = 1024
"""Answers that wait for an agent that does not read; the oldest are dropped first."""

ContainerName = tuple[str, int]
"""Name and attempt."""


class Stream:
    """One pipe of a container, on its way into the log."""

    __slots__ = ("format", "log")

    def __init__(self, stream: str, log: logs.LogFile) -> None:
        self.format = logs.LineFormat(stream)
        self.log = log


class Child:
    """A container that runs."""

    __slots__ = ("error", "name", "oom_kills", "pid", "spec", "streams")

    def __init__(self, name: ContainerName, pid: int, streams: list[int], spec: dict[str, str]) -> None:
        self.name = name
        self.pid = pid
        self.streams = streams
        self.spec = spec
        self.error = ""
        self.oom_kills = killing.oom_kills(spec["memory_events"]) if "memory_events" in spec else 0

    def kill(self) -> None:
        """Kill all of it that the supervisor can reach."""
        if "cgroup" in self.spec:
            killing.kill(self.spec["cgroup"])
        _signal_group(self.pid, _SIGKILL)

    def ran_out_of_memory(self) -> bool:
        """Tell whether the kernel has killed something of it for want of memory."""
        return "memory_events" in self.spec and killing.oom_kills(self.spec["memory_events"]) > self.oom_kills


class Supervisor:
    """The state of one pod's supervisor.

    Args:
        folder: The pod's folder.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._streams: dict[int, Stream] = {}
        self._unwritten: list[tuple[str, records.Fields]] = []
        self._poll = select.poll()
        self._commands = execs.Commands(self._poll)
        self._unsaid: list[bytes] = []
        self._requests = self._fifo("requests")
        self._events = self._fifo("events")
        self._wakeup, wakeup_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.signal(_SIGCHLD, lambda number, frame: None)
        _signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
        for descriptor in (self._requests, self._wakeup):
            self._poll.register(descriptor, select.POLLIN)
        self._partial = b""
        self._leaving = False

    def _fifo(self, name: str) -> int:
        # Read-write, so that the supervisor sees no end of file and no broken pipe while the agent is away; and the
        # agent sees the end of file exactly when the supervisor is gone.
        return os.open(os.path.join(self._folder, "supervisor", name), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until told to leave, or until there has been nothing to do for :data:`IDLE_S`."""
        while not self._leaving:
            ready = self._poll.poll(self._timeout_ms())
            if not ready and not self._children and not self._unwritten:
                break
            for descriptor, _ in ready:
                if descriptor == self._requests:
                    self._read_requests()
                elif descriptor == self._wakeup:
                    os.read(self._wakeup, READ_BYTES)
                elif self._commands.owns_pipe(descriptor):
                    self._commands.pump(descriptor)
                elif descriptor != self._events:
                    self._pump(descriptor)
            self._reap()
            self._commands.expire()
            self._write_pending()
            self._answer()
        # Before the events end, which the kernel does not promise at exit: an agent that has heard the end must not
        # find a reader here.
        os.close(self._requests)

    def _timeout_ms(self) -> float | None:
        if self._unwritten:
            return RETRY_S * 1000
        deadline = self._commands.next_deadline()
        if deadline is not None:
            # Rounded up: a poll that ends a moment too early would only be followed by another.
            return min(max((deadline - time.monotonic()) * 1000 + 1, 0), LONGEST_POLL_MS)
        return None if self._children else IDLE_S * 1000

    # --- requests -------------------------------------------------------------------------------------------------

    def _read_requests(self) -> None:
        *lines, self._partial = (self._partial + os.read(self._requests, READ_BYTES)).split(b"\n")
        for line in lines:
            verb, *arguments = line.decode().split(" ")
            if verb == "start":
                self._start((arguments[0], int(arguments[1])))
            elif verb == "signal":
                self._signal((arguments[0], int(arguments[1])), int(arguments[2]))
            elif verb == "words":
                self._commands.take_words(int(arguments[0]), arguments[1])
            elif verb == "exec":
                self._exec(int(arguments[0]), (arguments[1], int(arguments[2])), int(arguments[3]) / 1000)
            elif verb == "quit":
                # What stands behind it is for the next supervisor: one that leaves must start nothing.
                self._quit()
                return

    def _signal(self, name: ContainerName, number: int) -> None:
        for child in self._children.values():
            if child.name == name:
                # Not reaped yet, so neither its pid nor its group can belong to anyone else.
                child.kill() if number == _SIGKILL else _signal_group(child.pid, number)

    def _exec(self, number: int, name: ContainerName, timeout_s: float) -> None:
        if all(child.name != name for child in self._children.values()):
            self._commands.refuse(number)
            return
        spec = records.read_bytes(os.path.join(self._container_folder(name), records.SPEC))
        try:
            self._commands.begin(number, name, records.decode(spec or b""), timeout_s)
        except (OSError, ValueError) as error:
            self._commands.fail(number, str(error))

    def _quit(self) -> None:
        for child in list(self._children.values()):
            child.kill()
        for child in list(self._children.values()):
            self._bury(child)
        self._answer()
        self._leaving = True

    # --- starting -------------------------------------------------------------------------------------------------

    def _start(self, name: ContainerName) -> None:
        folder = self._container_folder(name)
        try:
            if not os.path.exists(os.path.join(folder, records.RUNNING)):
                self._spawn(name, folder)
        except (OSError, ValueError) as error:
            self._ring(f"refused {name[0]} {name[1]} {error}")
        else:
            self._ring("started")

    def _spawn(self, name: ContainerName, folder: str) -> None:
        data = records.read_bytes(os.path.join(folder, records.SPEC))
        if data is None:
            raise ValueError("there is no spec")
        spec = records.decode(data)
        one = dict(spec)
        records.reserve(os.path.join(folder, records.EXIT_RESERVE))
        pipes = spawn.Pipes()
        pid = spawn.fork(spec, pipes)
        try:
            self._record_running(folder, pid, one["image"])
        except OSError:
            os.close(pipes.go[1])
            os.waitpid(pid, 0)
            for descriptor in (pipes.stdout[0], pipes.stderr[0], pipes.error[0]):
                os.close(descriptor)
            raise
        log = logs.LogFile(one["log"], limit_bytes=int(one["log_bytes"]), files=int(one["log_files"]))
        streams = [self._watch("stdout", pipes.stdout[0], log), self._watch("stderr", pipes.stderr[0], log)]
        self._children[pid] = child = Child(name, pid, streams, one)
        child.error = spawn.release(pipes)

    def _record_running(self, folder: str, pid: int, image: str) -> None:
        found = proc.stat(pid)
        started = str(found.start_time if found else 0)
        fields = [("boot", proc.boot_id()), ("pid", str(pid)), ("start", started), ("image", image)]
        records.write(os.path.join(folder, records.RUNNING), [*fields, ("at", f"{time.time():.6f}")])

    def _watch(self, stream: str, descriptor: int, log: logs.LogFile) -> int:
        os.set_blocking(descriptor, False)
        self._streams[descriptor] = Stream(stream, log)
        self._poll.register(descriptor, select.POLLIN)
        return descriptor

    # --- output ---------------------------------------------------------------------------------------------------

    def _pump(self, descriptor: int) -> bool:
        """Move one chunk into the log; tell whether there may be more."""
        stream = self._streams.get(descriptor)
        if stream is None:
            return False
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            stream.log.append(stream.format.feed(data))
            return True
        self._close_stream(descriptor)
        return False

    def _close_stream(self, descriptor: int) -> None:
        stream = self._streams.pop(descriptor)
        rest = stream.format.finish()
        if rest:
            stream.log.append(rest)
        if all(other.log is not stream.log for other in self._streams.values()):
            stream.log.close()
        self._poll.unregister(descriptor)
        os.close(descriptor)

    # --- endings --------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                # Look without reaping: while the zombie is there, its process group cannot be anyone else's.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            child = self._children.get(ended.si_pid)
            if self._commands.owns_process(ended.si_pid):
                self._commands.bury(ended.si_pid)
            elif child is None:
                os.waitpid(ended.si_pid, 0)
            else:
                self._bury(child)

    def _bury(self, child: Child) -> None:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        finished = time.time()
        child.kill()
        self._commands.leave(child.name)
        _, status = os.waitpid(child.pid, 0)
        del self._children[child.pid]
        if not self._children:
            _kill_strays()
        for descriptor in child.streams:
            while self._pump(descriptor):
                pass
        code = os.waitstatus_to_exitcode(status)
        reason = _reason(code, child)
        fields = _exit_fields(code, finished, reason, child.error or _last_words(child.spec, failed=code != 0))
        self._unwritten.append((self._container_folder(child.name), fields))

    def _write_pending(self) -> None:
        while self._unwritten:
            folder, fields = self._unwritten[0]
            reserved, path = (os.path.join(folder, name) for name in (records.EXIT_RESERVE, records.EXIT))
            try:
                records.write_reserved(reserved, path, fields)
            except OSError:
                if os.path.isdir(folder):
                    return
            del self._unwritten[0]
            self._ring("exited")

    def _container_folder(self, name: ContainerName) -> str:
        return os.path.join(self._folder, "containers", name[0], str(name[1]))

    def _answer(self) -> None:
        """Send what there is to say of commands, as far as the agent reads it."""
        waited = bool(self._unsaid)
        if self._commands.answers:
            self._unsaid = (self._unsaid + self._commands.answers)[-UNSAID_LINES:]
            self._commands.answers.clear()
        while self._unsaid:
            try:
                os.write(self._events, self._unsaid[0])
            except BlockingIOError:
                break
            del self._unsaid[0]
        if self._unsaid and not waited:
            self._poll.register(self._events, select.POLLOUT)
        elif waited and not self._unsaid:
            self._poll.unregister(self._events)

    def _ring(self, text: str) -> None:
        try:
            os.write(self._events, text.replace("\n", " ").encode(errors="replace")[:1024] + b"\n")
        except BlockingIOError:
            pass  # The agent has been away for long; the bells that are in the pipe will make it look.


def _last_words(spec: dict[str, str], *, failed: bool) -> str:
    log = spec["log"] if failed and "message_from_log" in spec else ""
    return lastwords.message(spec.get("home", ""), spec.get("message", ""), log)


def _reason(code: int, child: Child) -> str:
    if child.error:
        return "StartError"
    # A shell says 137 of a child that was killed; it need not have been the first process.
    if code in (-_SIGKILL, 128 + _SIGKILL) and child.ran_out_of_memory():
        return "OOMKilled"
    return "Error" if code else "Completed"


def _exit_fields(code: int, finished_at: float, reason: str, message: str) -> records.Fields:
    number = -code if code < 0 else 0
    code = 128 + number if number else code
    return [
        ("at", f"{finished_at:.6f}"),
        ("code", str(code)),
        ("signal", str(number)),
        ("reason", reason),
        ("message", message),
    ]


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return  # Nothing of it is left, or it has made itself another user's: not for this supervisor to end.


def _kill_strays() -> None:
    """Kill every process that has come to the supervisor, and those that come when their parents die."""
    own = os.getpid()
    beyond: set[int] = set()
    while strays := [pid for pid, found in proc.all_processes() if found.parent == own and pid not in beyond]:
        for pid in strays:
            try:
                os.kill(pid, _SIGKILL)
                os.waitpid(pid, 0)
            except PermissionError:
                beyond.add(pid)


def main() -> None:
    """Serve the pod whose folder is the second argument; leave at once where another supervisor does.

    Standard output says which of the two it is, and ends when that is settled.
    """
    folder = sys.argv[2]
    os.chdir("/")
    lock = os.open(os.path.join(folder, "supervisor", "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _answer(TAKEN)
        return
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    supervisor = Supervisor(folder)
    _answer(READY)
    supervisor.run()


def _answer(text: bytes) -> None:
    """Tell who started this process what has come of it, and let go of the pipe it waits on."""
    try:
        os.write(1, text)
    except BrokenPipeError:
        pass  # It was killed meanwhile; the next agent finds the pipes.
    os.dup2(0, 1)
