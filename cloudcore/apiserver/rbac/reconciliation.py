"""Keeps the default roles and bindings complete: at each start, what they lack is added. The plan is pure.

As in Kubernetes: rules and subjects that somebody added stay; those that somebody took away come back, unless the
object's annotation ``rbac.authorization.kubernetes.io/autoupdate`` is ``false``.
"""

from __future__ import annotations

import asyncio

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.rbac.defaults import DEFAULTS
from cloudcore.apiserver.rbac.defaults.shapes import AUTOUPDATE, Default
from cloudcore.apiserver.rbac.rules import Rule, compacted, uncovered
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import AlreadyExists, Conflict, NotFound
from protocol.objects.keys import Body


def plan(present: Body, wanted: Body) -> Body | None:
    """Return the object with what it lacks, or None where it lacks nothing or may not be changed."""
    metadata = present["metadata"]
    if (metadata.get("annotations") or {}).get(AUTOUPDATE) == "false":
        return None
    changed = {**present, "metadata": {**metadata}}
    for part in ("labels", "annotations"):
        changed["metadata"][part] = {**(metadata.get(part) or {}), **wanted["metadata"][part]}
    if "roleRef" in wanted:
        subjects = present.get("subjects") or []
        changed["subjects"] = [*subjects, *(each for each in wanted["subjects"] if each not in subjects)]
    elif "aggregationRule" in wanted:
        changed["aggregationRule"] = wanted["aggregationRule"]
    else:
        held = [Rule.of(each) for each in present.get("rules") or ()]
        lacking = uncovered((Rule.of(each) for each in wanted["rules"]), held)
        changed["rules"] = [*(present.get("rules") or []), *(each.body for each in compacted(lacking))]
    return None if _content(changed) == _content(present) else changed


def _content(body: Body) -> Body:
    return {**body, "subjects": body.get("subjects") or [], "rules": body.get("rules") or []}


async def reconcile_defaults(registry: Registry) -> None:
    """Create the default roles and bindings that are missing, and complete the others."""
    client = LocalClient(registry, "system:bootstrap")
    # All at once, so that they share a commit: one by one, each would wait for the disk.
    await asyncio.gather(*(_reconcile(client, default) for default in DEFAULTS))


async def _reconcile(client: LocalClient, default: Default) -> None:
    resource, wanted = default
    metadata = wanted["metadata"]
    try:
        present = await client.get(resource, metadata.get("namespace", ""), metadata["name"])
    except NotFound:
        try:
            await client.create(resource, wanted)
        except AlreadyExists:
            return
        return
    changed = plan(present, wanted)
    if changed is not None:
        try:
            await client.update(resource, changed)
        except (Conflict, NotFound):
            return  # somebody is at it; the next start looks again
