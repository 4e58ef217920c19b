"""The plugins there are, and the profile that the default scheduler runs."""

from __future__ import annotations

from cloudcore.scheduler.framework import PluginRegistry, Profile
from cloudcore.scheduler.plugins.leastallocated import LeastAllocated
from cloudcore.scheduler.plugins.nodeaffinity import NodeAffinity, PreferredNodeAffinity
from cloudcore.scheduler.plugins.nodename import NodeNameFilter
from cloudcore.scheduler.plugins.noderesources import NodeResourcesFit
from cloudcore.scheduler.plugins.nodeunschedulable import NodeUnschedulable
from cloudcore.scheduler.plugins.runtimeclass import RuntimeClassFilter
from cloudcore.scheduler.plugins.tainttoleration import PreferNoSchedule, TaintToleration
from cloudcore.scheduler.plugins.volumebinding import VolumeBinding

FILTERS = (
    NodeUnschedulable,
    NodeNameFilter,
    TaintToleration,
    NodeAffinity,
    RuntimeClassFilter,
    VolumeBinding,
    NodeResourcesFit,
)
SCORES = ((PreferNoSchedule, 3.0), (PreferredNodeAffinity, 2.0), (LeastAllocated, 1.0))
"""With the weights that Kubernetes gives them."""


def registry() -> PluginRegistry:
    """Return a registry with every plugin of this package."""
    plugins = PluginRegistry()
    for filter_ in FILTERS:
        plugins.add_filter(filter_)
    for score, _ in SCORES:
        plugins.add_score(score)
    return plugins


def default_profile() -> Profile:
    """Return the plugins of the default scheduler."""
    names = [plugin.name for plugin in FILTERS]
    return registry().profile(names, [(plugin.name, weight) for plugin, weight in SCORES])
