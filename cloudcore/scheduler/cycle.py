"""The scheduling core: nodes and pods in, placements out. Sans-IO.

``place`` decides and charges the node at once (the pod is assumed there), so the next pod sees it; if the placement
cannot be carried out, ``release`` takes it back.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from cloudcore.scheduler.accounts import Accounts
from cloudcore.scheduler.evaluation import NEVER, Evaluation, Suitability
from cloudcore.scheduler.explain import Explanation, explain
from cloudcore.scheduler.framework import Profile
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape, ShapeKey, shape_key, shape_of
from cloudcore.scheduler.volumes import NONE, Restriction
from protocol.objects.keys import Body, Uid
from protocol.objects.sla import Tier, tier_of

_MAX_EVALUATIONS = 128
"""Shapes whose evaluation is kept (about 17 bytes a node each), least recently used forgotten first."""
_MAX_SHAPES = 4096


@dataclass(frozen=True, slots=True)
class Placement:
    """A pod has a node.

    Attributes:
        node: Its name.
        score: The node's total score.
    """

    node: str
    score: float


class Cycle:
    """Places pods.

    Args:
        profile: The plugins to run.
        rng: Breaks ties between equally good nodes.
    """

    def __init__(self, profile: Profile, rng: Random) -> None:
        self.table = NodeTable()
        self._profile = profile
        self._rng = rng
        self._accounts = Accounts(self.table)
        self._handlers: dict[str, str] = {}
        self._shapes: dict[ShapeKey, PodShape] = {}
        self._suitabilities: OrderedDict[ShapeKey, Suitability] = OrderedDict()
        self._evaluations: OrderedDict[ShapeKey, Evaluation] = OrderedDict()
        self._explanations: dict[ShapeKey, tuple[tuple[int, int], Explanation]] = {}

    def put_runtime_class(self, name: str, handler: str | None) -> None:
        """Take in a RuntimeClass, or that it is gone (None)."""
        if handler is None:
            self._handlers.pop(name, None)
        else:
            self._handlers[name] = handler
        self._shapes.clear()
        self._suitabilities.clear()
        self._evaluations.clear()
        self._explanations.clear()

    def charge(self, pod: Body) -> None:
        """Take in a pod that is bound to a node."""
        spec = pod["spec"]
        # The node it is on is no requirement: pods of one template are one shape wherever they are.
        unbound = {name: value for name, value in spec.items() if name != "nodeName"}
        tier = tier_of(pod)
        shape = self._shape(shape_key(unbound, tier), unbound, tier)
        self._accounts.charge(Uid(pod["metadata"]["uid"]), spec["nodeName"], shape)

    def node_of(self, uid: Uid) -> str | None:
        """Return the node that a pod is charged to, bound or assumed."""
        return self._accounts.node_of(uid)

    def release(self, uid: Uid) -> bool:
        """Take back a pod's charge, bound or assumed; return whether there was one."""
        return self._accounts.release(uid)

    def place(self, pod: Body, key: ShapeKey | None = None, volumes: Restriction = NONE) -> Placement | Explanation:
        """Find the best node for ``pod`` and assume it there, or tell why there is none.

        Args:
            pod: The pod.
            key: Its ``shape_key``, where the caller has it.
            volumes: What its claims ask.
        """
        tier = tier_of(pod)
        key = _key_with(key or shape_key(pod["spec"], tier), volumes)
        evaluation = self._evaluation(key, pod["spec"], tier, volumes)
        totals = evaluation.totals(self.table)
        best = totals.max(initial=NEVER)
        if best == NEVER:
            return self._explain(key, evaluation.shape)
        ties = np.flatnonzero(totals == best)
        row = int(ties[self._rng.randrange(ties.size)]) if ties.size > 1 else int(ties[0])
        node = self.table.name(row)
        self._accounts.charge(Uid(pod["metadata"]["uid"]), node, evaluation.shape)
        return Placement(node, float(best))

    def explain(self, pod: Body, volumes: Restriction = NONE) -> Explanation:
        """Tell which filters turn away how many nodes, whether or not some are left."""
        spec, tier = pod["spec"], tier_of(pod)
        key = _key_with(shape_key(spec, tier), volumes)
        return explain(self._shape(key, spec, tier, volumes), self.table, self._profile)

    def _explain(self, key: ShapeKey, shape: PodShape) -> Explanation:
        # Many waiting pods of one shape ask the same question of the same nodes.
        version = (self.table.features_version, self.table.use_position)
        known = self._explanations.get(key)
        if known is None or known[0] != version:
            if len(self._explanations) >= _MAX_EVALUATIONS:
                self._explanations.clear()
            known = self._explanations[key] = (version, explain(shape, self.table, self._profile))
        return known[1]

    def _shape(self, key: ShapeKey, spec: Body, tier: Tier | None, volumes: Restriction = NONE) -> PodShape:
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            shape = shape_of(spec, self._handlers, tier)
            if volumes.places:
                demands = _key_with(shape.demands, volumes)
                shape = replace(shape, volumes=volumes.places, unbound=bool(volumes.waiting), demands=demands)
            self._shapes[key] = shape
        return shape

    def _evaluation(self, key: ShapeKey, spec: Body, tier: Tier | None, volumes: Restriction) -> Evaluation:
        evaluation = self._evaluations.get(key)
        if evaluation is None:
            shape = self._shape(key, spec, tier, volumes)
            evaluation = self._evaluations[key] = Evaluation(shape, self._profile, self._suitability(shape))
            if len(self._evaluations) > _MAX_EVALUATIONS:
                self._evaluations.popitem(last=False)
        else:
            self._evaluations.move_to_end(key)
        return evaluation

    def _suitability(self, shape: PodShape) -> Suitability:
        suitability = self._suitabilities.get(shape.demands)
        if suitability is None:
            suitability = self._suitabilities[shape.demands] = Suitability(shape, self._profile)
            if len(self._suitabilities) > _MAX_EVALUATIONS:
                self._suitabilities.popitem(last=False)
        else:
            self._suitabilities.move_to_end(shape.demands)
        return suitability


def _key_with(key: ShapeKey, volumes: Restriction) -> ShapeKey:
    """Return a key that is equal where the pods' claims ask the same too."""
    return key if not volumes.places else key + repr((volumes.places, bool(volumes.waiting))).encode()
