"""What a node must be sent so that it holds its slice, given what it holds. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudcore.hub.router import Router
from protocol.digest import difference
from protocol.messages import InventoryEntry, Item, Op
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from protocol.objects.resources import RESUME


def catch_up(
    router: Router, node: NodeName, held: Sequence[InventoryEntry], *, same_incarnation: bool, revision: Revision
) -> Iterator[Item]:
    """Yield the items that turn ``held`` into the slice of ``node``, deletes first.

    The consumer may let time pass between two items: each is made from the router's state at that moment. What has
    changed since the beginning has been delivered on its own, so a repeat of it is harmless; what would contradict it
    is left out.

    Args:
        router: The slices; ``node`` is attached to it.
        node: The node.
        held: The node's inventory.
        same_incarnation: Whether the inventory's versions are those of this store.
        revision: The store's revision, the version of the deletes.
    """
    wanted = {entry.key: (entry.uid, entry.version) for entry in router.slice_of(node)}
    to_send, to_delete = difference(held, wanted, same_incarnation=same_incarnation)
    for entry in to_delete:
        if not _is_held(router, node, entry):
            yield Item(Op.DELETE, entry.key, entry.uid, revision)
    for key in to_send:
        item = router.item(key) if router.contains(node, key) else None
        if item is not None:
            yield item


def end_of_difference(node: NodeName, epoch: int) -> Item:
    """Return the command that follows the last item of :func:`catch_up`.

    It goes in the lane of puts, behind them (deletes are more urgent): no item of a slice may go in a less urgent one.
    The edge then knows that what it does not hold is not wanted.
    """
    return Item(Op.COMMAND, ObjectKey(RESUME, "", node), Uid(""), Revision(0), b"", id=f"resume-{node}-{epoch}")


def _is_held(router: Router, node: NodeName, entry: InventoryEntry) -> bool:
    """Tell whether ``node`` should hold that very object, having come to it since the comparison."""
    key: ObjectKey = entry.key
    item = router.item(key) if router.contains(node, key) else None
    return item is not None and item.uid == entry.uid
