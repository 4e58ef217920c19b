"""Views: how a subresource reads from an object, and what writing it changes.

``update`` and ``patch`` treat every subresource alike: read the view, change it, write it back into the object.
"""

from __future__ import annotations

from typing import Protocol

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Target
from cloudcore.apiserver.registry import retained
from cloudcore.apiserver.subresources.approval import ApprovalView
from cloudcore.apiserver.subresources.finalize import FinalizeView
from cloudcore.apiserver.subresources.podparts import EphemeralContainersView, ResizeView
from cloudcore.apiserver.subresources.scale import CustomScaleView, ScaleView
from cloudcore.apiserver.subresources.status import StatusView
from cloudcore.store.base import Record
from protocol.objects.keys import Body


class View(Protocol):
    """A part of an object that is read and written by itself."""

    @property
    def is_whole(self) -> bool:
        """Whether reading gives the object itself."""

    @property
    def status_only(self) -> bool:
        """Whether writing changes the status and nothing else."""

    def read(self, body: Body) -> Body:
        """Return the view of ``body``; it may share parts with it."""

    def write(self, old: Body, view: Body) -> Body:
        """Return the object ``old`` with ``view`` written into it; ``old`` is the function's to use up."""


class WholeView:
    """The object itself: everything but its status, where it has one."""

    is_whole = True
    status_only = False

    def read(self, body: Body) -> Body:
        """Return the object."""
        return body

    def write(self, old: Body, view: Body) -> Body:
        """Return the new object; :mod:`cloudcore.apiserver.strategy` keeps what is not the client's."""
        del old
        return view


WHOLE = WholeView()
_VIEWS: dict[str, View] = {
    "status": StatusView(),
    "scale": ScaleView(),
    "finalize": FinalizeView(),
    "approval": ApprovalView(),
    "ephemeralcontainers": EphemeralContainersView(),
    "resize": ResizeView(),
}


def view_of(target: Target, verb: str) -> View:
    """Return the view that ``target`` names.

    Raises:
        MethodNotAllowed: The kind or the subresource does not have ``verb``.
        NotFound: There is no such subresource.
    """
    if not target.subresource:
        if verb not in target.kind.verbs:
            raise failures.not_allowed(target.kind, verb)
        return WHOLE
    row = target.kind.subresource(target.subresource)
    if row is None:
        raise failures.no_resource()
    if verb not in row.verbs or target.subresource not in _VIEWS:
        raise failures.not_allowed(target.kind, verb)
    custom = (target.version or target.kind).custom
    if target.subresource == "scale" and custom is not None and custom.scale is not None:
        return CustomScaleView(custom.scale)
    return _VIEWS[target.subresource]


def rendered(view: View, record: Record) -> Record:
    """Return the record as the view shows it."""
    return record if view.is_whole else retained(record, view.read(record.decode()))
