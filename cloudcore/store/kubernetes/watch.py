"""A watch of copies: the same position in a history as with any engine, and an end when the copies are kept no more."""

from __future__ import annotations

from collections.abc import Callable

from cloudcore.store.base import Progress
from cloudcore.store.watch import HistoryWatch


class CopyWatch(HistoryWatch):
    """Iterates over the changes of some resources; see :class:`cloudcore.store.watch.HistoryWatch`."""

    forgotten: Callable[[CopyWatch], None] | None = None
    """Told when the watch is closed."""
    _failure: BaseException | None = None

    async def __anext__(self) -> Progress:
        """Wait for changes or a bookmark.

        Raises:
            Gone: The position is no longer known.
            Exception: What ended the following of the API server.
        """
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            if self._failure is not None:
                raise self._failure from None
            raise

    def fail(self, failure: BaseException) -> None:
        """End the watch with an error."""
        self._failure = failure
        self.close()

    def close(self) -> None:
        """End the watch; a waiting iteration stops."""
        super().close()
        if self.forgotten is not None:
            self.forgotten(self)
