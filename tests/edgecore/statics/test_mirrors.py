"""Which mirrors are asked for and which are removed."""

from __future__ import annotations

from edgecore.meta.base import Held
from edgecore.statics.manifests import static_pod
from edgecore.statics.mirrors import ASK_AGAIN_S, REFUSED_S, Create, Mirrors, Remove, mirror_of
from protocol.messages import Outcome
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from protocol.objects.mirrors import is_mirror, mirrored_uid

KEY = ObjectKey("pods", "default", "web-n1")


def pod(image: str = "i") -> Body:
    spec = {"containers": [{"name": "c", "image": image}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}
    return static_pod(body, node=NodeName("n1"), path="/m/a.yaml", seen="2026-01-01T00:00:00Z")


def held(of: Body, uid: str = "m1", *, deleted: bool = False) -> Held:
    body = mirror_of(of)
    body["metadata"]["uid"] = uid
    if deleted:
        body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return Held(KEY, Uid(uid), Revision(1), body)


def dead(_: Uid) -> bool:
    return False


def alive(_: Uid) -> bool:
    return True


def test_a_mirror_names_the_pod_it_shows() -> None:
    mirror = mirror_of(pod())
    assert is_mirror(mirror)
    assert mirrored_uid(mirror) == pod()["metadata"]["uid"]
    assert "uid" not in mirror["metadata"]


def test_a_pod_without_a_mirror_is_asked_for_once_and_again_after_a_while() -> None:
    mirrors = Mirrors()
    assert [type(each) for each in mirrors.plan([pod()], [], alive, now=10.0)] == [Create]
    assert mirrors.plan([pod()], [], alive, now=11.0) == []
    mirrors.answered(Uid(pod()["metadata"]["uid"]), Outcome.APPLIED, now=12.0)
    assert mirrors.plan([pod()], [], alive, now=11.9 + ASK_AGAIN_S) == []
    assert len(mirrors.plan([pod()], [], alive, now=12.0 + ASK_AGAIN_S)) == 1


def test_a_refused_mirror_waits_longer() -> None:
    mirrors = Mirrors()
    mirrors.plan([pod()], [], alive, now=0.0)
    mirrors.answered(Uid(pod()["metadata"]["uid"]), Outcome.REJECTED, now=0.0)
    assert mirrors.plan([pod()], [], alive, now=REFUSED_S - 1) == []
    assert mirrors.next_timer() == REFUSED_S
    assert len(mirrors.plan([pod()], [], alive, now=REFUSED_S)) == 1


def test_a_mirror_that_is_there_is_left_alone_and_one_that_went_is_asked_for_at_once() -> None:
    mirrors = Mirrors()
    mirrors.plan([pod()], [], alive, now=0.0)
    assert mirrors.plan([pod()], [held(pod())], alive, now=1.0) == []
    assert mirrors.next_timer() is None
    assert len(mirrors.plan([pod()], [], alive, now=1.0)) == 1


def test_a_mirror_that_somebody_deletes_may_go_and_comes_again() -> None:
    mirrors = Mirrors()
    assert mirrors.plan([pod()], [held(pod(), deleted=True)], alive, now=0.0) == [Remove(KEY, Uid("m1"))]
    assert mirrors.plan([pod()], [held(pod(), deleted=True)], alive, now=1.0) == []
    assert [type(each) for each in mirrors.plan([pod()], [], alive, now=2.0)] == [Create]


def test_a_mirror_of_an_older_version_is_replaced() -> None:
    (action,) = Mirrors().plan([pod("j")], [held(pod())], alive, now=0.0)
    assert isinstance(action, Create)
    assert mirrored_uid(action.mirror) == pod("j")["metadata"]["uid"]


def test_a_mirror_outlives_its_file_until_nothing_is_left_of_the_pod() -> None:
    mirrors = Mirrors()
    assert mirrors.plan([], [held(pod())], alive, now=0.0) == []
    assert mirrors.plan([], [held(pod())], dead, now=0.0) == [Remove(KEY, Uid("m1"))]
    assert mirrors.plan([], [], dead, now=0.0) == []
    assert mirrors.next_timer() is None
