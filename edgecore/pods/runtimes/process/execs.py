"""Commands that a supervisor runs inside its containers, beside what runs there: probes and hooks.

A command is a child of the supervisor in a session of its own, made from the container's own spec with other words.
When it ends, runs out of time, or loses its container, its whole process group is killed. Nothing of it touches the
disk: the words come with the request, the output goes back with the answer.

Used by the supervisor: imports no more than that does.
"""

from __future__ import annotations

import os
import select
import time

from edgecore.pods.runtimes.process import records, spawn

OUTPUT_BYTES = 16 * 1024
PIECE_BYTES = 1900
"""What one line of an answer carries, in hexadecimal: a line stays below what a pipe takes as one."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126
GONE, TIMED_OUT, FAILED = "gone", "timeout", "failed"
_READ_BYTES = 64 * 1024
_SIGKILL = 9

ContainerName = tuple[str, int]


class Command:
    """A command that runs."""

    __slots__ = ("container", "deadline", "number", "output", "pid", "pipe")

    def __init__(self, number: int, container: ContainerName, pid: int, pipe: int, deadline: float) -> None:
        self.number = number
        self.container = container
        self.pid = pid
        self.pipe = pipe
        self.deadline = deadline
        self.output = b""


class Commands:
    """The commands of one supervisor.

    Args:
        poll: Where their pipes are registered.
    """

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._by_pid: dict[int, Command] = {}
        self._by_pipe: dict[int, Command] = {}
        self._words: tuple[int, bytes] = (-1, b"")
        self.answers: list[bytes] = []
        """Lines for the agent, in their order; whoever sends them takes them out."""

    # --- beginning ------------------------------------------------------------------------------------------------

    def take_words(self, number: int, piece: str) -> None:
        """Take a piece of the words of a command that is about to be asked for, in hexadecimal."""
        before = self._words[1] if self._words[0] == number else b""
        self._words = (number, before + bytes.fromhex(piece))

    def refuse(self, number: int) -> None:
        """Answer that the container does not run."""
        self._answer(number, b"", GONE)

    def fail(self, number: int, why: str) -> None:
        """Answer that the host failed."""
        self._answer(number, why.encode(errors="replace"), FAILED)

    def begin(self, number: int, container: ContainerName, spec: records.Fields, timeout_s: float) -> None:
        """Run the command whose words have been taken.

        Raises:
            OSError: The host failed.
        """
        words = os.fsdecode(self._words[1]).split("\0") if self._words[0] == number else []
        self._words = (-1, b"")
        spec = [field for field in spec if field[0] != "arg"] + [("arg", word) for word in words]
        pipes = spawn.Pipes(joined=True)
        pid = spawn.fork(spec, pipes)
        os.close(pipes.stderr[0])
        error = spawn.release(pipes)
        command = Command(number, container, pid, pipes.stdout[0], time.monotonic() + timeout_s)
        if error:
            os.waitpid(pid, 0)
            os.close(command.pipe)
            missing = error.endswith((os.strerror(2), spawn.NOT_IN_PATH))
            self._answer(number, error.encode(errors="replace"), str(NOT_FOUND if missing else NOT_EXECUTABLE))
            return
        os.set_blocking(command.pipe, False)
        self._poll.register(command.pipe, select.POLLIN)
        self._by_pid[pid] = self._by_pipe[command.pipe] = command

    # --- meanwhile ------------------------------------------------------------------------------------------------

    def owns_pipe(self, descriptor: int) -> bool:
        """Tell whether a pipe is a command's."""
        return descriptor in self._by_pipe

    def owns_process(self, pid: int) -> bool:
        """Tell whether a process is a command's first."""
        return pid in self._by_pid

    def pump(self, descriptor: int) -> bool:
        """Read a chunk of output, of which the beginning is kept; tell whether there may be more."""
        command = self._by_pipe[descriptor]
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        command.output += data[: OUTPUT_BYTES - len(command.output)]
        if not data:
            self._poll.unregister(descriptor)
            del self._by_pipe[descriptor]
        return bool(data)

    def next_deadline(self) -> float | None:
        """Return the earliest time at which a command is to be ended, monotonic."""
        return min((command.deadline for command in self._by_pid.values()), default=None)

    # --- ending ---------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """End the commands that have run out of time."""
        if not self._by_pid:
            return
        now = time.monotonic()
        for command in [command for command in self._by_pid.values() if now >= command.deadline]:
            self._end(command, TIMED_OUT)

    def leave(self, container: ContainerName) -> None:
        """End the commands of a container that has ended."""
        for command in [command for command in self._by_pid.values() if command.container == container]:
            self._end(command, GONE)

    def bury(self, pid: int) -> None:
        """Answer for a command whose first process has ended, by itself."""
        self._end(self._by_pid[pid], "")

    def _end(self, command: Command, why: str) -> None:
        # Not reaped yet, so the group cannot be anyone else's.
        kill_group(command.pid)
        _, status = os.waitpid(command.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        for _ in range(OUTPUT_BYTES // 512):
            # Bounded: a process that left the group may still write.
            if command.pipe not in self._by_pipe or not self.pump(command.pipe):
                break
        if self._by_pipe.pop(command.pipe, None) is not None:
            self._poll.unregister(command.pipe)
        os.close(command.pipe)
        del self._by_pid[command.pid]
        self._answer(command.number, command.output, why or str(code if code >= 0 else 128 - code))

    def _answer(self, number: int, output: bytes, verdict: str) -> None:
        pieces = [output[start : start + PIECE_BYTES] for start in range(0, len(output), PIECE_BYTES)]
        self.answers += [f"output {number} {piece.hex()}\n".encode() for piece in pieces]
        self.answers.append(f"ended {number} {verdict}\n".encode())


def kill_group(leader: int) -> None:
    """Kill a process group that the caller has made and not reaped."""
    try:
        os.killpg(leader, _SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # Nothing of it is left, or it has made itself another user's: not for this supervisor to end.
