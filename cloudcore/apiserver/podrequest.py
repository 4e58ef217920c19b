"""A request that came from a pod on a device, through its node. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PodRequest:
    """What a pod asks.

    Attributes:
        id: What a repeat is known by.
        namespace: The pod's namespace.
        account: Its service account.
        pod: Its name.
        uid: Its uid.
        verb: ``get``, ``list``, ``create``, ``update``, ``patch`` or ``delete``.
        path: The path, as sent.
        content_type: The body's type.
        query: The query.
        body: The decoded body.
        object_uid: The uid the object must have; empty for any.
        version: The content version it must have; 0 for any.
    """

    id: str
    namespace: str
    account: str
    pod: str
    uid: str
    verb: str
    path: str
    content_type: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    object_uid: str = ""
    version: int = 0
