from __future__ import annotations

import pytest

from cloudcore.apiserver.admission.chain import Admission, AdmissionChain, Operation
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Forbidden, Invalid
from tests.support.registries import a_configmap, a_pod


class Recorder:
    """Writes down what it sees."""

    def __init__(self, name: str, seen: list[str], *, validating: bool, operations: set[Operation]) -> None:
        self.validating = validating
        self._name = name
        self._seen = seen
        self._operations = operations
        self.asked = 0

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        self.asked += 1
        return operation in self._operations and resource == "configmaps" and not subresource

    async def admit(self, admission: Admission) -> None:
        self._seen.append(f"{self._name} {admission.operation} {admission.target.name}")
        if not self.validating:
            admission.body["data"]["touched"] = self._name
        if admission.body["data"].get("forbid"):
            raise Forbidden("no")


async def test_plugins_run_in_order_and_only_where_concerned(registry: Registry, client: LocalClient) -> None:
    seen: list[str] = []
    writes = {Operation.CREATE, Operation.UPDATE}
    late = Recorder("late", seen, validating=True, operations={*writes, Operation.DELETE})
    early = Recorder("early", seen, validating=False, operations=writes)
    registry.admission = AdmissionChain([late, early])
    stored = await client.create("configmaps", a_configmap())
    assert stored["data"]["touched"] == "early"
    await client.create("pods", a_pod())
    await client.patch("configmaps", "default", "settings", {"data": {"x": "y"}})
    await client.delete("configmaps", "default", "settings")
    assert seen == [
        "early CREATE settings",
        "late CREATE settings",
        "early UPDATE settings",
        "late UPDATE settings",
        "late DELETE settings",
    ]
    asked = early.asked
    await client.create("configmaps", a_configmap())
    assert early.asked == asked


async def test_what_is_refused_is_not_stored(registry: Registry, client: LocalClient) -> None:
    for validating in (False, True):
        plugin = Recorder("p", [], validating=validating, operations={Operation.CREATE})
        registry.admission = AdmissionChain([plugin])
        with pytest.raises(Forbidden):
            await client.create("configmaps", a_configmap(forbid="yes"))
    assert await client.list("configmaps") == []


async def test_validating_plugins_see_only_valid_objects(registry: Registry, client: LocalClient) -> None:
    seen: list[str] = []
    plugin = Recorder("p", seen, validating=True, operations={Operation.CREATE})
    registry.admission = AdmissionChain([plugin])
    with pytest.raises(Invalid):
        await client.create("configmaps", a_configmap("Not_A_Name"))
    assert seen == []
