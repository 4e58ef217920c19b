"""Objects as an API server sends them, made into records. Performs no I/O.

A record is encoded anew, once per change: ``managedFields`` goes (often half of an object, and of no use here), and
the metadata comes first. What an API server cannot tell is the revision at which anything but the status last
changed, the version of an object's projection. It is found by comparison: what is not status is hashed, and while the
hash stays, so does the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from cloudcore.errors import InternalError
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body, ObjectKey, Revision, Uid

_NO_CONTENT: Final = frozenset({"resourceVersion", "managedFields", "selfLink"})


@dataclass(frozen=True, slots=True)
class Content:
    """What is remembered of an object's content.

    Attributes:
        uid: Whose it is.
        revision: The version of the projection.
        fingerprint: Of everything but the status.
    """

    uid: Uid
    revision: Revision
    fingerprint: bytes


def revision_of(metadata: Mapping[str, Any]) -> Revision:
    """Return a ``resourceVersion`` as a number.

    Versions are compared with others of their own resource only, which is what Kubernetes says may be done with them.

    Raises:
        InternalError: It is no number: this is not the API of a server that keeps its objects in etcd or the like.
    """
    text = metadata.get("resourceVersion", "")
    if not (isinstance(text, str) and text.isascii() and text.isdecimal()):
        raise InternalError(f"the API server's resourceVersion {text!r} is no number: versions cannot be ordered")
    return Revision(int(text))


def key_of(resource: str, body: Body) -> ObjectKey:
    """Return the key of an object that the server sent."""
    metadata = body["metadata"]
    return ObjectKey(resource, metadata.get("namespace", ""), metadata["name"])


def content_of(body: Body, before: Content | None) -> Content:
    """Return what to remember of ``body``, knowing what was remembered of its key."""
    metadata = body["metadata"]
    content = {
        **{name: value for name, value in body.items() if name != "status"},
        "metadata": {name: value for name, value in metadata.items() if name not in _NO_CONTENT},
    }
    fingerprint = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
    uid = Uid(metadata.get("uid", ""))
    if before is not None and before.uid == uid and before.fingerprint == fingerprint:
        return before
    return Content(uid, revision_of(metadata), fingerprint)


def record_of(key: ObjectKey, body: Body, content_revision: Revision) -> Record:
    """Return the record of an object that the server sent; ``body`` is used up."""
    metadata = body["metadata"]
    revision = revision_of(metadata)
    metadata.pop("managedFields", None)
    return Record(key, Uid(metadata.get("uid", "")), revision, min(content_revision, revision), encode(body))
