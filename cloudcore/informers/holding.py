"""What a cache holds of an object: as little as its readers need. Sans-IO.

Names, uids and the like are the record's own strings, which the store holds anyway. ``managedFields`` is left out: no
reader inside the cloud uses it, and it is often half of an object's size.
"""

from __future__ import annotations

from sys import intern
from typing import Final

from cloudcore.store.base import Record
from protocol.objects.keys import Body
from protocol.objects.resources import CONFIG_MAPS
from protocol.objects.wellknown import ROOT_CA

METADATA_ONLY: Final = frozenset({CONFIG_MAPS})
"""Resources of which readers inside the cloud look at the metadata alone, :data:`CONTENT_READ` excepted: the hub reads
their content from the store. A fleet has more of them than of anything else."""
CONTENT_READ: Final = frozenset({ROOT_CA})
"""Names of objects whose content a controller compares, in whichever namespace."""


def decode_held(record: Record) -> Body:
    """Return what a cache holds of ``record``: a fresh dict."""
    body, key = record.decode(), record.key
    if key.resource in METADATA_ONLY and key.name not in CONTENT_READ:
        body = {"apiVersion": body.get("apiVersion", ""), "kind": body.get("kind", ""), "metadata": body["metadata"]}
    metadata = body["metadata"]
    if "managedFields" in metadata:
        # A new dict, not one with an entry less: that would keep its size.
        metadata = {name: value for name, value in metadata.items() if name != "managedFields"}
        body["metadata"] = metadata
    metadata["name"] = key.name
    if key.namespace:
        metadata["namespace"] = key.namespace
    if record.uid:
        metadata["uid"] = record.uid
    for name in ("apiVersion", "kind"):
        if name in body:
            body[name] = intern(body[name])
    return body
