from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloudcore.store.base import Store
from cloudcore.store.kubernetes import KubernetesStore
from tests.contracts.store import Promises, StoreContract, StoreLab
from tests.support.kubernetesstores import Server, kubernetes

PROMISES = Promises(
    groups=False,  # each write is a request of its own
    one_order=False,  # Kubernetes orders the versions of one resource only
    verbatim=False,  # the server chooses uids and fills in metadata
    remembers=False,  # the versions of projections are found by watching
    unlisted=False,  # a copy begins with a list
    disk=False,  # it is the server's
)


@dataclass
class KubernetesLab(StoreLab):
    server: Server = field(kw_only=True)
    promises: Promises = PROMISES

    async def open(self) -> Store:
        return await self.server.store(self.settings)

    async def reopen(self, store: Store) -> Store:
        await store.close()
        return await self.open()

    async def crash(self, store: Store) -> Store:
        assert isinstance(store, KubernetesStore)
        for task in store._tasks.values():
            task.cancel()
        return await self.open()

    def break_disk(self) -> None:
        raise AssertionError("the disk is the server's")

    def mend_disk(self) -> None:
        raise AssertionError("the disk is the server's")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with kubernetes(tmp_path) as server:
        yield server


class TestKubernetesStore(StoreContract):
    @pytest.fixture
    def lab(self, server: Server) -> KubernetesLab:
        return KubernetesLab(server=server)
