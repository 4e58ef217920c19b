from __future__ import annotations

from cloudcore.scheduler.resources import scored_requests
from tests.support.scheduling import container

MI = 1024 * 1024


def test_scores_count_a_default_for_containers_without_requests() -> None:
    assert scored_requests({"containers": [container(), container(cpu="1", memory="100Mi")]}) == (1100, 300 * MI)


def test_what_a_nodes_pods_ask_for_adds_up_within_64_bits() -> None:
    huge = container(cpu="1e30", memory="1e30")
    spec = {"containers": [huge, huge]}
    assert 100 * max(scored_requests(spec)) < 2**63
