from __future__ import annotations

from tests.support.podbenches import Bench
from tests.support.pods import a_pod


def test_a_failed_pull_shows_as_an_error_and_then_as_waiting() -> None:
    bench = Bench(refusal="ErrImagePull")
    bench.boot(a_pod())
    assert bench.container()["state"]["waiting"] == {"reason": "ErrImagePull", "message": "cannot"}
    bench.pass_time(4)
    waiting = bench.container()["state"]["waiting"]
    assert waiting == {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "img:1": cannot'}
    assert bench.said() == [
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", 'Back-off pulling image "img:1"'),
        ("Failed", "Error: ImagePullBackOff"),
    ]


def test_the_next_pull_that_fails_begins_it_again_and_one_that_succeeds_ends_it() -> None:
    bench = Bench(refusal="ErrImagePull")
    bench.boot(a_pod())
    bench.pass_time(11)
    assert bench.container()["state"]["waiting"]["reason"] == "ErrImagePull"
    bench.pass_time(3)
    assert bench.container()["state"]["waiting"]["reason"] == "ImagePullBackOff"
    bench.refusal = ""
    bench.pass_time(20)
    assert bench.running() == [("main", 0)]
    assert bench.machine.next_timer() is None


def test_what_is_not_pulled_waits_under_its_own_name() -> None:
    bench = Bench(refusal="ErrImageNeverPull")
    bench.boot(a_pod())
    bench.pass_time(60)
    assert bench.container()["state"]["waiting"]["reason"] == "ErrImageNeverPull"
    assert bench.said() == [("Failed", "Error: ErrImageNeverPull")]
