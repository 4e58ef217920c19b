"""How far pods of the low SLA tier are held back as the node runs short, and how they are let go again. Sans-IO.

Up one step at a time as what is left comes near a hard threshold: throttled, paused; what lies beyond is eviction. Down
one step at a time, each only after it has been calm for a while well beyond the step's own mark. High and medium tiers
are never touched: medium lives within its control group's limit, high within what was reserved for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgecore.pods.holds import Hold

MARKS: Final = {Hold.THROTTLED: 1.5, Hold.PAUSED: 1.25}
"""A step is taken when less is left than so many times the closest hard threshold."""
CALM: Final = 1.1
"""A step is taken back when there is at least so many times its mark."""
CALM_S: Final = 15.0
"""For so long that must last."""


@dataclass(slots=True)
class Ladder:
    """The hold that pods of the low tier are to be under.

    Attributes:
        level: The hold.
        calm_since: Monotonic time since which it could be a step less, or None.
    """

    level: Hold = Hold.NONE
    calm_since: float | None = None

    def observe(self, nearness: float, now: float, *, short: bool) -> list[Hold]:
        """Take how close the closest hard threshold is; return the levels gone through, none where it stays.

        Args:
            nearness: 1 at the threshold, 2 where there is twice as much.
            now: Monotonic seconds.
            short: Whether some threshold counts already: then every step is taken at once.
        """
        if short:
            passed = [hold for hold in MARKS if hold > self.level]
        else:
            passed = [hold for hold, mark in MARKS.items() if hold == self.level + 1 and nearness < mark]
        if passed:
            self.level, self.calm_since = passed[-1], None
            return passed
        if self.level is Hold.NONE or short or nearness < MARKS[self.level] * CALM:
            self.calm_since = None
            return []
        if self.calm_since is None:
            self.calm_since = now
        if now - self.calm_since < CALM_S:
            return []
        self.level, self.calm_since = Hold(self.level - 1), None
        return [self.level]
