"""The agent's count of its bytes: kept on disk now and then, taken up by the next process."""

from __future__ import annotations

from edgecore.hub.traffic import CHECKPOINT_S, TrafficAccount
from protocol.traffic import DAY_S, Direction

NOON = 20_000 * DAY_S + 43_200.0


class Disk:
    def __init__(self) -> None:
        self.kept: list[tuple[int, int]] = []

    async def keep(self, day: int, used_bytes: int) -> None:
        self.kept.append((day, used_bytes))


async def test_the_count_is_kept_every_few_minutes_if_it_has_changed() -> None:
    disk = Disk()
    account = TrafficAccount(lambda: NOON, keep=disk.keep)
    account.tell_time(0.0)
    account.meter.note(Direction.SENT, "spec", "pods", 500, 1.0)
    await account.checkpoint(CHECKPOINT_S - 1.0)
    assert disk.kept == []
    await account.checkpoint(CHECKPOINT_S)
    await account.checkpoint(2 * CHECKPOINT_S)
    assert disk.kept == [(20_000, 500)]
    account.meter.note(Direction.SENT, "spec", "pods", 1, 1.0)
    await account.checkpoint(2 * CHECKPOINT_S + 1.0, at_least_every_s=0.0)
    assert disk.kept[1:] == [(20_000, 501)]


async def test_the_next_process_goes_on_counting_on_the_same_day_only() -> None:
    for kept, used in (((20_000, 700), 700), ((19_999, 700), 0)):
        account = TrafficAccount(lambda: NOON, kept=kept)
        account.tell_time(0.0)
        account.tell_time(1.0)
        assert account.meter.used_bytes == used


async def test_nothing_is_kept_before_the_time_is_known() -> None:
    disk = Disk()
    await TrafficAccount(lambda: NOON, keep=disk.keep).checkpoint(0.0, at_least_every_s=0.0)
    assert disk.kept == []
