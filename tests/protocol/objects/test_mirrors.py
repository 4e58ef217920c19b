"""Which pods are static, and which only show one."""

from __future__ import annotations

import pytest

from protocol.objects.keys import Body
from protocol.objects.mirrors import is_mirror, is_static, refused_references
from protocol.objects.wellknown import CONFIG_HASH, CONFIG_SOURCE, MIRROR

HASH = "0123456789abcdef0123456789abcdef"
API_UID = "11111111-2222-4333-8444-555555555555"


def a_pod(uid: str = HASH, **annotations: str) -> Body:
    return {"metadata": {"name": "web", "uid": uid, "annotations": annotations}, "spec": {}}


def test_a_static_pod_is_known_by_its_uid_too() -> None:
    assert is_static(a_pod(**{CONFIG_SOURCE: "file", CONFIG_HASH: HASH}))


@pytest.mark.parametrize(
    "pod",
    [
        a_pod(API_UID, **{CONFIG_SOURCE: "file"}),
        a_pod(API_UID, **{CONFIG_SOURCE: "file", CONFIG_HASH: HASH}),
        a_pod(API_UID, **{CONFIG_SOURCE: "file", CONFIG_HASH: API_UID}),
        a_pod("", **{CONFIG_SOURCE: "file", CONFIG_HASH: ""}),
        a_pod(**{CONFIG_SOURCE: "api", CONFIG_HASH: HASH}),
        a_pod(**{CONFIG_SOURCE: "file", CONFIG_HASH: HASH, MIRROR: HASH}),
        {"metadata": {"name": "web", "uid": HASH}, "spec": {}},
    ],
)
def test_a_pod_of_the_api_is_not_static_whatever_is_annotated(pod: Body) -> None:
    assert not is_static(pod)


def test_a_mirror_is_one_by_its_annotation() -> None:
    assert is_mirror(a_pod(API_UID, **{MIRROR: HASH}))
    assert not is_mirror(a_pod(API_UID))


def test_a_static_pod_names_nothing_of_the_api() -> None:
    volumes = [
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ]
    pod = {"metadata": {"namespace": "default", "name": "web", "uid": HASH}, "spec": {"volumes": volumes}}
    assert refused_references(pod) == ['Secret "s"', "a service account's token"]
