from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgecore.metrics import scraper
from edgecore.metrics.endpoints import Endpoint
from edgecore.metrics.exposition import Summary
from edgecore.metrics.sampling import PodSampling
from edgecore.metrics.usage import ContainerUsage, PodNetwork, Usage
from protocol.objects.keys import Body, Uid
from protocol.samples import Metric, reading_field

pytestmark = pytest.mark.looptime


class Source:
    """A runtime whose one pod uses half a processor."""

    def __init__(self, *uids: str, network: str = "") -> None:
        self.uids, self.network = [Uid(uid) for uid in uids], network
        self.fails = False
        self.looks: list[float] = []

    async def usage(self) -> Usage:
        if self.fails:
            raise OSError("the runtime does not answer")
        now = asyncio.get_running_loop().time()
        self.looks.append(now)
        containers = [ContainerUsage(uid, "c", "0", now / 2, 1 << 20) for uid in self.uids]
        return Usage(containers, [PodNetwork(uid, self.network, 0, 0) for uid in self.uids if self.network])


def pod(uid: str, port: int | None = 8080) -> Body:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)} if port else {}
    container: Any = {"name": "c", "image": "i"}
    return {"metadata": {"name": uid, "uid": uid, "annotations": annotations}, "spec": {"containers": [container]}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []

    async def fetch(host: str, endpoint: Endpoint) -> Summary:
        seen.append((host, endpoint.port))
        return Summary(None, 50.0)

    monkeypatch.setattr(scraper, "fetch", fetch)
    return seen


async def test_pods_are_looked_at_every_ten_seconds(asked: list[tuple[str, int]]) -> None:
    source = Source("a")
    sampling = PodSampling(lambda: [pod("a")], [source])
    running = asyncio.ensure_future(sampling.run())
    await asyncio.sleep(35)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert source.looks == [0.0, 10.0, 20.0, 30.0]
    assert asked == [("127.0.0.1", 8080)] * 4
    assert sampling.readings == {
        reading_field(Uid("a"), "c", Metric.CPU): 500,
        reading_field(Uid("a"), "c", Metric.MEMORY): 1024,
        reading_field(Uid("a"), "", Metric.GPU): 50_000,
    }


async def test_only_pods_that_run_and_offer_metrics_are_asked_where_they_are(asked: list[tuple[str, int]]) -> None:
    sources = [Source("host", "silent"), Source("own", network="10.1.0.2")]
    pods = [pod("host", 8001), pod("own", 8002), pod("silent", None), pod("not-running", 8003)]
    await PodSampling(lambda: pods, sources).look(0.0)
    assert sorted(asked) == [("10.1.0.2", 8002), ("127.0.0.1", 8001)]


async def test_one_runtime_that_cannot_be_measured_leaves_the_others_alone(asked: list[tuple[str, int]]) -> None:
    broken, fine = Source("a"), Source("b")
    broken.fails = True
    sampling = PodSampling(lambda: [], [broken, fine])
    for now in (0.0, 10.0):
        await asyncio.sleep(10)
        await sampling.look(now)
    assert reading_field(Uid("b"), "c", Metric.CPU) in sampling.readings
    assert reading_field(Uid("a"), "c", Metric.CPU) not in sampling.readings


async def test_without_pods_nothing_is_asked(asked: list[tuple[str, int]]) -> None:
    sampling = PodSampling(lambda: pytest.fail("there is nothing to look for"), [Source()])
    await sampling.look(0.0)
    assert sampling.readings == {}
    assert asked == []
