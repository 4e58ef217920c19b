from __future__ import annotations

import pytest

from cloudcore.apiserver.registry import Registry
from cloudcore.errors import NotFound


def test_virtual_records_are_sorted_and_complete(registry: Registry) -> None:
    kind = registry.kinds.of("nodelinks.edge.aiokubeedge.io")
    registry.provide(kind.resource, lambda: [{"metadata": {"name": "b"}}, {"metadata": {"name": "a", "uid": "u"}}])
    first, second = registry.virtual_records(kind)
    assert (first.key.name, first.uid, second.key.name) == ("a", "u", "b")
    assert first.decode() == {
        "apiVersion": "edge.aiokubeedge.io/v1alpha1",
        "kind": "NodeLink",
        "metadata": {"name": "a", "uid": "u", "resourceVersion": str(registry.store.revision)},
    }


def test_an_unknown_resource_takes_no_provider(registry: Registry) -> None:
    with pytest.raises(NotFound):
        registry.provide("widgets", list)


def test_generated_names_differ_and_spell_nothing(registry: Registry) -> None:
    names = {registry.generated_name("pod-") for _ in range(100)}
    assert len(names) == 100
    assert not set("".join(name.removeprefix("pod-") for name in names)) & set("aeiou013")
