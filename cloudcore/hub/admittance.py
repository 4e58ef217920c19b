"""Whether a hello opens a session. Performs no I/O.

The certificate says which node the peer is; the Node object says which certificate and which instance are good; the
live session, if there is one, says who is there already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cloudcore.security.identity import Identity, Pins
from protocol.frames import CloseCode
from protocol.messages import Hello
from protocol.objects.keys import Body

DUPLICATE_INSTANCE: Final = "DuplicateInstance"
"""Condition of a Node that two instances claim to be."""
MAX_EPOCH: Final = 1 << 62
"""The wire carries 64-bit numbers; no honest edge gets anywhere near."""


@dataclass(frozen=True, slots=True)
class Live:
    """The session a node has at the moment.

    Attributes:
        instance: Its instance id.
        epoch: Its epoch.
        confirmed: Whether its edge is known to have taken the epoch over: something arrived after the welcome, and it
            does not say that its disk is too full for it.
    """

    instance: str
    epoch: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a hello is refused.

    Attributes:
        code: The close code.
        reason: One line for the peer's log and ours.
        duplicate: Whether somebody else claims to be this node, which its operator must see.
    """

    code: CloseCode
    reason: str
    duplicate: bool = False


def judge(identity: Identity, hello: Hello, node: Body | None, live: Live | None) -> Refusal | None:
    """Decide on a hello.

    Args:
        identity: From the peer's verified certificate.
        hello: What it says.
        node: The Node object of the certificate's node, None where there is none.
        live: The session that node has, if any.

    Returns:
        None to let it in, or why not.
    """
    if hello.node != identity.node:
        return Refusal(CloseCode.UNAUTHORIZED, f"the certificate is node {identity.node}'s, not {hello.node}'s")
    if not 0 <= hello.epoch < MAX_EPOCH:
        return Refusal(CloseCode.STALE_EPOCH, f"epoch {hello.epoch} is out of range")
    if node is None:
        return Refusal(CloseCode.UNKNOWN_NODE, f"there is no node {identity.node}: it was deleted; join again")
    pins = Pins.of(node)
    if pins.certificate != identity.certificate:
        return Refusal(CloseCode.REVOKED, f"node {identity.node} has joined again with another certificate")
    if pins.instance_id != hello.instance:
        reason = f"instance {hello.instance} is not the one that joined as node {identity.node}"
        return Refusal(CloseCode.OTHER_INSTANCE, reason, duplicate=True)
    if live is not None and _is_copy(hello, live):
        reason = f"another instance of node {identity.node} is connected, from a copy of this one's data"
        return Refusal(CloseCode.OTHER_INSTANCE, reason, duplicate=True)
    return None


def _is_copy(hello: Hello, live: Live) -> bool:
    """Tell a copied data folder from the agent that reconnects.

    Both have the instance id. The agent stores each epoch before it says anything more (or says that it could not), so
    once its session has said something, whoever comes with an older epoch is not that agent.
    """
    return live.confirmed and hello.epoch < live.epoch
