"""The scheduler: finds each pod a node, and can say why there is none."""

from cloudcore.scheduler.scheduler import DEFAULT_SCHEDULER, Scheduler

__all__ = ["DEFAULT_SCHEDULER", "Scheduler"]
