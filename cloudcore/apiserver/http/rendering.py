"""Objects, lists and watch events in the form a client asked for, by concatenation wherever that is possible.

An object as it is costs no decoding: its stored bytes are the answer. Tables and partial metadata decode one object
at a time, so that the caller can stop between two and let the loop go on. Sans-IO.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import orjson

from cloudcore.apiserver.http.negotiation import Representation
from cloudcore.apiserver.http.tables import (
    SCALES,
    Printer,
    column_definitions,
    custom_printer,
    partial_metadata,
    printer_for,
    row,
)
from cloudcore.apiserver.kinds.kind import Conversion, Kind
from cloudcore.apiserver.list import Page
from cloudcore.apiserver.watch import WatchEvent
from cloudcore.store.base import Record
from protocol.objects.keys import Body

_INCLUDES = frozenset({"None", "Metadata", "Object"})


class Renderer(Protocol):
    """Writes one kind in one form."""

    def one(self, record: Record) -> bytes:
        """Return a single object."""

    def list_head(self, page: Page) -> bytes:
        """Return a list up to its first item."""

    def item(self, record: Record) -> bytes:
        """Return one item of a list; items are joined with commas and followed by ``]}``."""

    def watch_object(self, event: WatchEvent) -> bytes:
        """Return what stands in a watch event's ``object``."""


def renderer_of(
    kind: Kind,
    representation: Representation,
    *,
    include_object: str,
    clock: Callable[[], float],
    subresource: str = "",
) -> Renderer:
    """Return the renderer for a kind and a form.

    Args:
        kind: The kind.
        representation: The form the client asked for.
        include_object: The query's ``includeObject``, for tables.
        clock: Wall clock, for ages in tables.
        subresource: The part of an object that is asked for: a Scale has columns of its own.
    """
    if representation.transformation == "Table":
        included = include_object if include_object in _INCLUDES else "Metadata"
        return _TableRenderer(_printer_of(kind, subresource), representation.version, included, clock)
    if representation.transformation:
        return _PartialRenderer(kind, representation.version)
    return _PlainRenderer(kind) if kind.conversion is None else _ConvertedRenderer(kind, kind.conversion)


def _printer_of(kind: Kind, subresource: str) -> Printer:
    if subresource == "scale":
        return printer_for(SCALES)
    return printer_for(kind.stored.resource) if kind.custom is None else custom_printer(kind.custom.columns)


def _list_metadata(page: Page) -> Body:
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        metadata["continue"] = page.continue_token
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    return metadata


def _list_head(kind: str, api_version: str, page: Page) -> bytes:
    head = {"kind": kind, "apiVersion": api_version, "metadata": _list_metadata(page)}
    return orjson.dumps(head)[:-1] + b',"items":['


class _PlainRenderer:
    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def one(self, record: Record) -> bytes:
        return record.json

    def list_head(self, page: Page) -> bytes:
        return _list_head(self._kind.list_kind, self._kind.api_version, page)

    def item(self, record: Record) -> bytes:
        return record.json

    def watch_object(self, event: WatchEvent) -> bytes:
        return event.json


class _ConvertedRenderer(_PlainRenderer):
    """Writes objects in a version other than the one that is kept, which costs decoding each."""

    def __init__(self, kind: Kind, conversion: Conversion) -> None:
        super().__init__(kind)
        self._conversion = conversion

    def one(self, record: Record) -> bytes:
        return orjson.dumps(self._conversion.outward(record.decode()))

    def item(self, record: Record) -> bytes:
        return self.one(record)

    def watch_object(self, event: WatchEvent) -> bytes:
        if event.record is not None:
            return self.one(event.record)
        return orjson.dumps({**orjson.loads(event.json), "kind": self._kind.kind, "apiVersion": self._kind.api_version})


class _PartialRenderer:
    def __init__(self, kind: Kind, version: str) -> None:
        self._kind = kind
        self._version = version

    def one(self, record: Record) -> bytes:
        return orjson.dumps(partial_metadata(record.decode(), self._version))

    def list_head(self, page: Page) -> bytes:
        return _list_head("PartialObjectMetadataList", f"meta.k8s.io/{self._version}", page)

    def item(self, record: Record) -> bytes:
        return self.one(record)

    def watch_object(self, event: WatchEvent) -> bytes:
        if event.record is not None:
            return self.one(event.record)
        return orjson.dumps(partial_metadata(orjson.loads(event.json), self._version))


class _TableRenderer:
    def __init__(self, printer: Printer, version: str, include_object: str, clock: Callable[[], float]) -> None:
        self._printer = printer
        self._version = version
        self._include_object = include_object
        self._clock = clock
        self._defined = False

    def one(self, record: Record) -> bytes:
        return self._head({"resourceVersion": str(record.revision)}) + self.item(record) + b"]}"

    def list_head(self, page: Page) -> bytes:
        return self._head(_list_metadata(page))

    def item(self, record: Record) -> bytes:
        cells = row(
            self._printer,
            record.decode(),
            now=self._clock(),
            include_object=self._include_object,
            version=self._version,
        )
        return orjson.dumps(cells)

    def watch_object(self, event: WatchEvent) -> bytes:
        if event.record is None:
            metadata: Body = orjson.loads(event.json)["metadata"]
            return self._head({"resourceVersion": metadata["resourceVersion"]}) + b"]}"
        return self.one(event.record)

    def _head(self, metadata: Body) -> bytes:
        """Return a Table up to its first row; only the first Table of a watch defines the columns."""
        head = {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{self._version}",
            "metadata": metadata,
            "columnDefinitions": None if self._defined else column_definitions(self._printer),
        }
        self._defined = True
        return orjson.dumps(head)[:-1] + b',"rows":['
