"""A relay that counts what passes: bytes of the TCP stream, that is TLS records and all, without IP headers."""

from __future__ import annotations

import asyncio


class Meter:
    """Relays one port of loopback and counts. An async context; ``port`` is where it listens.

    Args:
        target_port: Where it relays to.
    """

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self.port = 0
        self.down = 0
        """Bytes from the target to those who connect here."""
        self.up = 0

    async def __aenter__(self) -> Meter:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._server is not None:
            self._server.close()

    def read(self) -> tuple[int, int]:
        """Return the bytes that have passed down and up."""
        return self.down, self.up

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, far_writer, is_up=True))
            group.create_task(self._pump(far_reader, writer, is_up=False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool) -> None:
        try:
            while chunk := await reader.read(65536):
                if is_up:
                    self.up += len(chunk)
                else:
                    self.down += len(chunk)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
