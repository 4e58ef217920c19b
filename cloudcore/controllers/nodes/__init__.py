"""Controllers of nodes: liveness and taints, and the eviction of pods that do not tolerate them.

A node is judged by its lease alone, and time is counted on the monotonic clock from when the cloud *saw* the last
renewal: neither a clock that jumps, here or at the edge, nor a restart of the cloud makes a node look dead.
"""

from cloudcore.controllers.nodes.eviction import TaintEvictionController
from cloudcore.controllers.nodes.lifecycle import NodeLifecycleController

__all__ = ["NodeLifecycleController", "TaintEvictionController"]
