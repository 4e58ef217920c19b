from __future__ import annotations

import pytest

from cloudcore.scheduler.plugins import FILTERS, SCORES, default_profile, registry
from protocol.errors import LocalProtocolError


def test_plugins_are_found_by_name() -> None:
    profile = registry().profile(["NodeResourcesFit", "NodeName"], [("LeastAllocated", 2.5)])
    assert [plugin.name for plugin in profile.filters] == ["NodeResourcesFit", "NodeName"]
    assert [(plugin.name, weight) for plugin, weight in profile.scores] == [("LeastAllocated", 2.5)]


def test_an_unknown_plugin_is_named() -> None:
    with pytest.raises(LocalProtocolError, match="Telepathy"):
        registry().profile(["Telepathy"], [])


def test_a_name_is_taken_once() -> None:
    plugins = registry()
    with pytest.raises(LocalProtocolError, match="NodeUnschedulable"):
        plugins.add_filter(FILTERS[0])
    with pytest.raises(LocalProtocolError, match="PreferNoSchedule"):
        plugins.add_score(SCORES[0][0])


def test_the_default_profile_has_every_plugin() -> None:
    profile = default_profile()
    assert len(profile.filters) == len(FILTERS)
    assert len(profile.scores) == len(SCORES)
