from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.http.protobuf import decode_protobuf
from cloudcore.errors import BadRequest, UnsupportedMediaType


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


NAME = field(1, field(1, "x") + field(3, ""))


def test_a_configmap() -> None:
    raw = NAME + field(2, field(1, "k") + field(2, "v")) + field(3, field(1, "b") + field(2, b"\x00\x01")) + field(4, 1)
    assert decode_protobuf(envelope("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x"},
        "data": {"k": "v"},
        "binaryData": {"b": "AAE="},
        "immutable": True,
    }


def test_lists_inlined_structs_and_special_types() -> None:
    handler = field(2, field(2, field(1, 0) + field(2, 8080)))
    probe = field(1, handler) + field(2, 0) + field(3, 5)
    limits = field(1, field(1, "cpu") + field(2, field(1, "100m")))
    container = field(1, "c") + field(8, limits) + field(10, probe)
    volume = field(1, "v") + field(2, field(2, b""))
    raw = NAME + field(2, field(1, volume) + field(2, container) + field(4, (1 << 64) - 30))
    spec = decode_protobuf(envelope("v1", "Pod", raw))["spec"]
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert spec["terminationGracePeriodSeconds"] == -30
    assert spec["containers"][0]["resources"] == {"limits": {"cpu": "100m"}}
    assert spec["containers"][0]["livenessProbe"] == {"httpGet": {"port": 8080}, "timeoutSeconds": 5}


def test_a_pointer_to_zero_is_kept() -> None:
    raw = NAME + field(2, field(1, 0) + field(5, 0))
    assert decode_protobuf(envelope("apps/v1", "Deployment", raw))["spec"] == {"replicas": 0}


def test_times_and_text_or_number() -> None:
    created = field(8, field(1, 60)) + field(9, b"")
    port = field(4, field(1, 1) + field(3, "http"))
    raw = field(1, field(1, "x") + created) + field(2, field(1, port))
    service = decode_protobuf(envelope("v1", "Service", raw))
    assert service["metadata"] == {"name": "x", "creationTimestamp": "1970-01-01T00:01:00Z"}
    assert service["spec"] == {"ports": [{"targetPort": "http"}]}


def test_delete_options_are_known_in_any_group() -> None:
    raw = field(1, 0) + field(2, field(1, "uid")) + field(5, "All")
    assert decode_protobuf(envelope("policy/v1", "DeleteOptions", raw)) == {
        "apiVersion": "policy/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "uid"},
        "dryRun": ["All"],
    }


def test_fields_of_the_future_are_passed_over() -> None:
    raw = NAME + field(999, "new") + varint(998 << 3 | 1) + struct.pack("<d", 1.5)
    assert decode_protobuf(envelope("v1", "ConfigMap", raw))["metadata"] == {"name": "x"}


def test_a_kind_without_protobuf() -> None:
    with pytest.raises(UnsupportedMediaType, match="send JSON"):
        decode_protobuf(envelope("example.com/v1", "Widget", b""))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"k8s\x00\xff",
        envelope("v1", "ConfigMap", field(1, 5)),
        envelope("v1", "ConfigMap", b"\x0a\x7fshort"),
        envelope("v1", "ConfigMap", b"\x0f"),
        envelope("v1", "ConfigMap", field(1, field(1, b"\xff"))),
        envelope("v1", "ConfigMap", field(4, "text")),
        envelope("v1", "ConfigMap", b"\x80" * 12),
    ],
)
def test_what_is_not_well_formed(data: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_protobuf(data)


def test_truncation_at_every_byte_is_refused_or_decoded() -> None:
    whole = envelope("v1", "ConfigMap", NAME + field(2, field(1, "k") + field(2, "v")))
    for end in range(len(whole)):
        try:
            decoded = decode_protobuf(whole[:end])
        except (BadRequest, UnsupportedMediaType):
            continue
        assert decoded["kind"] in ("ConfigMap", ""), end


@given(st.binary(max_size=200))
def test_bytes_are_decoded_into_the_kind_of_the_envelope_or_refused(raw: bytes) -> None:
    try:
        decoded = decode_protobuf(envelope("v1", "Pod", raw))
    except BadRequest:
        return
    assert (decoded["apiVersion"], decoded["kind"]) == ("v1", "Pod")
