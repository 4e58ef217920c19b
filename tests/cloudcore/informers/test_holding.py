from __future__ import annotations

from typing import Any

import pytest

from cloudcore.informers.holding import decode_held
from cloudcore.store.base import Record, encode
from protocol.objects.keys import ObjectKey, Revision, Uid


def record(resource: str, body: dict[str, Any]) -> Record:
    metadata = body["metadata"]
    key = ObjectKey(resource, metadata.get("namespace", ""), metadata["name"])
    return Record(key, Uid(metadata.get("uid", "")), Revision(7), Revision(7), encode(body))


POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default", "uid": "u-1", "labels": {"app": "web"}},
    "spec": {"nodeName": "n"},
}


def test_everything_is_held_but_managed_fields() -> None:
    written = {**POD, "metadata": {**POD["metadata"], "managedFields": [{"manager": "kubectl"}]}}
    assert decode_held(record("pods", written)) == {**POD, "metadata": {**POD["metadata"], "resourceVersion": "7"}}


def test_strings_that_the_record_has_are_not_held_twice() -> None:
    kept = record("pods", POD)
    held = decode_held(kept)
    assert held["metadata"]["name"] is kept.key.name
    assert held["metadata"]["namespace"] is kept.key.namespace
    assert held["metadata"]["uid"] is kept.uid
    assert held["kind"] is decode_held(kept)["kind"]


@pytest.mark.parametrize(("name", "content"), [("settings", False), ("kube-root-ca.crt", True)])
def test_of_config_maps_the_content_is_held_only_where_it_is_read(name: str, content: bool) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "ownerReferences": [{"uid": "u-9"}]},
        "data": {"a": "b"},
    }
    held = decode_held(record("configmaps", body))
    assert held["metadata"]["ownerReferences"] == [{"uid": "u-9"}]
    assert held["kind"] == "ConfigMap"
    assert ("data" in held) is content


def test_a_cluster_scoped_object_without_uid_stays_as_it_is() -> None:
    held = decode_held(record("nodes", {"metadata": {"name": "n"}}))
    assert held == {"metadata": {"name": "n", "resourceVersion": "7"}}
