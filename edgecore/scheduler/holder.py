"""Slows pods down and pauses them, through their control groups."""

from __future__ import annotations

import errno
from typing import Final

from edgecore.cgroups.base import PodControls
from edgecore.pods.holds import Hold
from protocol.objects.keys import Body, Uid

THROTTLED_TO: Final = 0.25
"""The share of its processor time that a throttled pod has."""


class GroupHolder:
    """Implements :class:`edgecore.pods.holds.Holder` with control groups.

    Args:
        controls: The pods' groups.
    """

    def __init__(self, controls: PodControls) -> None:
        self._controls = controls

    async def hold(self, pod: Body, hold: Hold) -> None:
        """Bring the pod under ``hold``. A paused pod stays throttled, so that it comes back by degrees.

        Raises:
            OSError: It has no control group that could do that.
        """
        uid = Uid(pod["metadata"]["uid"])
        if hold is not Hold.PAUSED:
            resumed = await self._controls.resume(uid)
            slowed = await self._controls.throttle(uid, THROTTLED_TO if hold is Hold.THROTTLED else None)
            done = slowed if hold is Hold.THROTTLED else resumed or hold is Hold.NONE
        else:
            await self._controls.throttle(uid, THROTTLED_TO)
            done = await self._controls.pause(uid)
        if not done:
            raise OSError(errno.EOPNOTSUPP, "the pod has no control group to hold it by", str(uid))
