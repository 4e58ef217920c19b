"""Items and objects of a node's slice, for tests of the edge."""

from __future__ import annotations

from typing import Any

import msgpack

from protocol.messages import Item, Op
from protocol.objects.keys import ObjectKey, Revision, Uid


def body_of(key: ObjectKey, uid: str, **fields: Any) -> bytes:
    """Return the msgpack of a minimal object."""
    metadata = {"name": key.name, "uid": uid, **({"namespace": key.namespace} if key.namespace else {})}
    packed: bytes = msgpack.packb({"metadata": metadata, **fields})
    return packed


def put(name: str, version: int, *, uid: str = "", resource: str = "pods", **fields: Any) -> Item:
    """Return a put of an object in namespace default."""
    key, uid = ObjectKey(resource, "default", name), uid or f"uid-{name}"
    return Item(Op.PUT, key, Uid(uid), Revision(version), body_of(key, uid, **fields))


def delete(name: str, *, uid: str = "", resource: str = "pods", version: int = 0) -> Item:
    """Return a delete of an object in namespace default."""
    return Item(Op.DELETE, ObjectKey(resource, "default", name), Uid(uid or f"uid-{name}"), Revision(version))


def resumed(ident: str = "resume-1") -> Item:
    """Return the command that ends the difference after an inventory."""
    return Item(Op.COMMAND, ObjectKey("resume", "", "edge-1"), Uid(""), Revision(0), b"\x80", ident)
