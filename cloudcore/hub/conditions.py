"""Conditions that the hub sets on Nodes."""

from __future__ import annotations

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import ApiError, Conflict, NotFound
from cloudcore.hub.admittance import DUPLICATE_INSTANCE
from protocol.objects.conditions import find_condition, set_condition
from protocol.objects.keys import Body, NodeName
from protocol.objects.resources import NODES
from protocol.objects.times import timestamp

log = structlog.get_logger(__name__)


async def mark_duplicate(client: Client, clock: Clock, node: NodeName, message: str) -> None:
    """Set the condition ``DuplicateInstance`` of ``node``: to True with ``message``, or to False without one.

    Nothing is written where it says so already, and none is added only to say that all is well. What the store does
    not take is logged: the condition comes with the next attempt of the clone.
    """
    status = "True" if message else "False"
    wanted: Body = {
        "type": DUPLICATE_INSTANCE,
        "status": status,
        "reason": "SecondInstanceRefused" if message else "OneInstance",
        "message": message or "one instance is connected",
    }
    for _ in range(8):
        try:
            body = await client.get(NODES, "", node)
            current = find_condition((body.get("status") or {}).get("conditions"), DUPLICATE_INSTANCE)
            if (current is None and not message) or (current is not None and current.get("status") == status):
                return
            status_body = body.setdefault("status", {})
            status_body["conditions"] = set_condition(status_body.get("conditions"), wanted, at=timestamp(clock.wall()))
            await client.update(NODES, body, subresource="status")
        except Conflict:
            continue
        except NotFound:
            return
        except ApiError as exc:
            log.warning("condition not set", node=node, condition=DUPLICATE_INSTANCE, cause=exc.message)
        return
