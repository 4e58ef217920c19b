"""Which tokens a pod asks for, how they are asked for, and what an answer holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgpack

from edgecore.accounts.ledger import Owner, Token, Want, digest_of
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import TOKEN

DEFAULT_LIFE_S: Final = 3600
DEFAULT_ACCOUNT: Final = "default"


class BadAnswer(AiokubeedgeError):
    """What the cloud answered holds no token."""


def account_of(pod: Body) -> str:
    """Return the name of the service account that a pod runs as."""
    return str(pod["spec"].get("serviceAccountName") or DEFAULT_ACCOUNT)


def wants_of(pod: Body, account_uid: Uid) -> Iterator[Want]:
    """Yield the tokens that the pod's volumes ask for, each once.

    Args:
        pod: The pod.
        account_uid: The uid of its service account; empty where that is not here yet.
    """
    metadata = pod["metadata"]
    owner = Owner(
        metadata.get("namespace", ""), account_of(pod), account_uid, metadata["name"], Uid(str(metadata["uid"]))
    )
    asked: dict[tuple[str, int], None] = {}
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            token = source.get("serviceAccountToken")
            if token is not None:
                asked[token.get("audience") or "", int(token.get("expirationSeconds") or DEFAULT_LIFE_S)] = None
    for audience, expiration_s in asked:
        yield Want(owner, audience, expiration_s)


def question(want: Want) -> tuple[ObjectKey, bytes]:
    """Return what to ask the cloud for ``want``: what it is about, and a TokenRequest's spec."""
    owner = want.owner
    spec: dict[str, Any] = {
        "expirationSeconds": want.expiration_s,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": owner.pod, "uid": owner.pod_uid},
    }
    if want.audience:
        spec["audiences"] = [want.audience]
    return ObjectKey(TOKEN, owner.namespace, owner.account), msgpack.packb({"spec": spec})


def token_of(want: Want, answer: bytes, wall: float) -> Token:
    """Return the token that an answer holds.

    Args:
        want: What was asked for.
        answer: The answer's body.
        wall: When it came, seconds since the epoch.

    Raises:
        BadAnswer: It holds none.
    """
    try:
        body = msgpack.unpackb(answer)
        text, life_s = body["status"]["token"], float(body["spec"]["expirationSeconds"])
    except (ValueError, TypeError, KeyError, RecursionError, msgpack.UnpackException) as error:
        raise BadAnswer(f"the cloud's answer holds no token: {error!r}") from error
    if not isinstance(text, str) or not text or not life_s > 0:
        raise BadAnswer("the cloud's answer holds no token")
    return Token(want, text, digest_of(text), wall, life_s)


def written(token: Token) -> dict[str, Any]:
    """Return a token as it is written to disk."""
    owner = token.want.owner
    return {
        "namespace": owner.namespace,
        "account": owner.account,
        "accountUid": owner.account_uid,
        "pod": owner.pod,
        "podUid": owner.pod_uid,
        "audience": token.want.audience,
        "expirationSeconds": token.want.expiration_s,
        "token": token.text,
        "digest": token.digest,
        "cameAt": token.came_at,
        "lifeSeconds": token.life_s,
        "local": token.local,
    }


def read(row: Mapping[str, Any]) -> Token:
    """Return a token as it was written.

    Raises:
        KeyError: A field is missing.
        ValueError: A field is no number, or the bytes are not those of the digest.
        TypeError: A field is of another type.
    """
    uid, pod_uid = Uid(str(row["accountUid"])), Uid(str(row["podUid"]))
    owner = Owner(str(row["namespace"]), str(row["account"]), uid, str(row["pod"]), pod_uid)
    want = Want(owner, str(row["audience"]), int(row["expirationSeconds"]))
    text, digest = str(row["token"]), str(row["digest"])
    if text and digest_of(text) != digest:
        raise ValueError("the token is not that of its digest")
    return Token(want, text, digest, float(row["cameAt"]), float(row["lifeSeconds"]), bool(row["local"]))
