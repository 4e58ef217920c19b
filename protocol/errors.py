"""The exception tree of the shared package.

::

    AiokubeedgeError
    ├── UsageError               a command line, setting or file the user gave cannot be used (exit status 2)
    ├── LocalProtocolError       this program misused an object (a bug here)
    ├── RemoteProtocolError      the peer broke the protocol; carries the close code to send
    │   └── FrameError           a frame is malformed, oversized, of an unknown type
    ├── ConnectionClosed         a transport ended; carries code and reason
    └── OutboxFull               a bounded queue towards the peer takes no more for now
"""

from __future__ import annotations


class AiokubeedgeError(Exception):
    """Base of every exception this project raises on purpose."""


class UsageError(AiokubeedgeError):
    """What the user gave cannot be used. The message is one line that says what to do."""


class LocalProtocolError(AiokubeedgeError):
    """This side called something it must not call now; always a bug in the caller."""


class RemoteProtocolError(AiokubeedgeError):
    """The peer broke the protocol.

    Args:
        code: The close code to end the connection with (see ``protocol.frames.CloseCode``).
        reason: One line for the peer's log.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} (close code {code})")
        self.code = code
        self.reason = reason


class FrameError(RemoteProtocolError):
    """A frame cannot be decoded or breaks a limit."""


class ConnectionClosed(AiokubeedgeError):
    """The connection has ended.

    Args:
        code: The WebSocket/QUIC close code; 1006 where the peer vanished without one.
        reason: The peer's reason, or what was observed here.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed: {reason} (code {code})")
        self.code = code
        self.reason = reason


class OutboxFull(AiokubeedgeError):
    """Too many commands wait for the peer; nothing was queued, and what was queued stays."""
