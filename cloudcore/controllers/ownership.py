"""Managing controllers: who owns an object, and who takes in or lets go what it selects.

An object has at most one managing controller, named by the owner reference with ``controller: true``. A controller
adopts orphans that match its selector and releases what it owns that no longer does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloudcore.client import Client
from cloudcore.controllers.pods import is_deleting
from cloudcore.errors import Invalid, NotFound
from protocol.objects.keys import Body
from protocol.objects.selectors import Selector, matches


def controller_of(body: Body) -> Body | None:
    """Return the owner reference of the managing controller, or None."""
    owners: list[Body] = body["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def controller_reference(owner: Body) -> Body:
    """Return the reference that makes ``owner`` the managing controller of what carries it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


@dataclass(frozen=True, slots=True)
class Claims:
    """What an owner has and should change about it.

    Attributes:
        owned: Owned already, and selected.
        adopt: Orphans to take in.
        release: Owned, but no longer selected.
    """

    owned: tuple[Body, ...]
    adopt: tuple[Body, ...]
    release: tuple[Body, ...]


def plan_claims(owner: Body, selector: Selector, candidates: Iterable[Body]) -> Claims:
    """Sort ``candidates`` (of the owner's namespace) into owned, to adopt and to release.

    An owner that is being deleted takes in nothing and lets nothing go: its dependents' fate is the collector's.
    """
    going = is_deleting(owner)
    owned: list[Body] = []
    adopt: list[Body] = []
    release: list[Body] = []
    for body in candidates:
        selected = matches(selector, body["metadata"].get("labels"))
        reference = controller_of(body)
        if reference is None:
            if selected and not going and not is_deleting(body):
                adopt.append(body)
        elif reference["uid"] == owner["metadata"]["uid"]:
            (owned if selected or going else release).append(body)
    return Claims(tuple(owned), tuple(adopt), tuple(release))


async def apply_claims(client: Client, resource: str, owner: Body, owner_resource: str, claims: Claims) -> list[Body]:
    """Adopt and release, and return all that the owner then has.

    Before the first adoption the owner is read live: a stale cache must not let an owner that is going, or another
    one of the same name, take anything in.
    """
    owned = list(claims.owned)
    if claims.adopt and await _may_adopt(client, owner, owner_resource):
        for body in claims.adopt:
            adopted = await _adopt(client, resource, owner, body)
            if adopted is not None:
                owned.append(adopted)
    for body in claims.release:
        await _release(client, resource, owner, body)
    return owned


async def _may_adopt(client: Client, owner: Body, owner_resource: str) -> bool:
    metadata = owner["metadata"]
    try:
        live = await client.get(owner_resource, metadata.get("namespace", ""), metadata["name"])
    except NotFound:
        return False
    return live["metadata"]["uid"] == metadata["uid"] and not is_deleting(live)


async def _adopt(client: Client, resource: str, owner: Body, body: Body) -> Body | None:
    references = [*(body["metadata"].get("ownerReferences") or ()), controller_reference(owner)]
    try:
        return await _write_owners(client, resource, body, references)
    except (NotFound, Invalid):  # it went, or somebody else took it in
        return None


async def _release(client: Client, resource: str, owner: Body, body: Body) -> None:
    uid = owner["metadata"]["uid"]
    references = [entry for entry in body["metadata"].get("ownerReferences") or () if entry["uid"] != uid]
    try:
        await _write_owners(client, resource, body, references)
    except (NotFound, Invalid):
        return


async def _write_owners(client: Client, resource: str, body: Body, references: list[Body]) -> Body:
    """Replace the owner references, provided the object has not changed since it was read."""
    metadata = body["metadata"]
    patch = {
        "metadata": {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "ownerReferences": references or None,
        }
    }
    return await client.patch(resource, metadata.get("namespace", ""), metadata["name"], patch)
