"""The ``token`` subresource of service accounts: makes a token for an audience and a time, bound to an object.

Source: Kubernetes ``pkg/registry/core/serviceaccount/storage/token.go``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.get import stored
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import BadRequest, Cause, Conflict, Forbidden, Invalid, NotFound
from cloudcore.security.accounttokens import AccountClaims, Reference, mint
from protocol.objects.keys import Body, NodeName, ObjectKey, Uid
from protocol.objects.resources import NODES, PODS, SECRETS
from protocol.objects.times import timestamp
from protocol.objects.wellknown import NODE_USER_PREFIX, NODES_GROUP

DEFAULT_S: Final = 3600
SHORTEST_S: Final = 600
LONGEST_S: Final = 365 * 86_400
"""Longer ones are shortened to this, with a warning."""
_UNACCEPTABLE_S: Final = 1 << 32
_API_VERSION: Final = "authentication.k8s.io/v1"
_BINDABLE: Final = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


@dataclass(frozen=True, slots=True)
class _Bound:
    """What a token is bound to, as claims have it, and the audiences that the pod's volumes name."""

    pod: Reference | None = None
    secret: Reference | None = None
    node: Reference | None = None
    named: frozenset[str] = frozenset()


async def create_token(registry: Registry, target: Target, body: Body, context: Context) -> Body:
    """Answer a ``TokenRequest`` for the service account ``target`` names.

    Raises:
        BadRequest: The body is no request for this account, or names an object a token cannot be bound to.
        Conflict: The object to be bound to has another uid.
        Forbidden: A node asks for a token that does not die with a pod of its own, or for an audience that neither
            this API nor the pod has.
        Invalid: Its fields are wrong.
        NotFound: There is no such account, or no such object to be bound to.
    """
    issuer = registry.tokens
    if issuer is None:
        raise failures.no_resource()
    spec = _spec(target, body)
    record = await stored(registry, Target(target.kind, target.namespace, target.name))
    bound = await _bound(registry, target, spec.get("boundObjectRef"))
    seconds = _seconds(spec, context)
    audiences = tuple(spec.get("audiences") or issuer.audiences)
    _hold_node(target, context, bound)
    _hold_audiences(target, context, bound, set(audiences) - set(issuer.audiences))
    now = registry.clock()
    claims = AccountClaims(
        target.namespace,
        Reference(target.name, record.uid),
        audiences,
        int(now),
        int(now) + seconds,
        registry.new_uid(),
        pod=bound.pod,
        secret=bound.secret,
        node=bound.node,
    )
    metadata = {"name": target.name, "namespace": target.namespace, "creationTimestamp": timestamp(now)}
    answer = {"token": mint(issuer, claims), "expirationTimestamp": timestamp(int(now) + seconds)}
    return {
        "kind": "TokenRequest",
        "apiVersion": _API_VERSION,
        "metadata": metadata,
        "spec": {**spec, "audiences": list(audiences), "expirationSeconds": seconds},
        "status": answer,
    }


def node_tokens(registry: Registry) -> Callable[[NodeName, ObjectKey, Body], Awaitable[Body]]:
    """Return what makes tokens for nodes: as if the node itself asked this API, with all that holds it back."""

    async def mint(node: NodeName, account: ObjectKey, body: Body) -> Body:
        target = Target(registry.kinds.of(account.resource), account.namespace, account.name, "token")
        return await create_token(registry, target, body, Context(f"{NODE_USER_PREFIX}{node}", groups=(NODES_GROUP,)))

    return mint


def _spec(target: Target, body: Body) -> Body:
    """Return the request's spec, checked.

    Raises:
        BadRequest: It is none of this account.
        Invalid: Its fields are wrong.
    """
    body.setdefault("metadata", {})
    require_object(target.kind, body)
    metadata, spec = body["metadata"], body.get("spec") or {}
    for field, wanted in (("kind", "TokenRequest"), ("apiVersion", _API_VERSION)):
        if body.get(field, wanted) != wanted:
            raise BadRequest(f"the body must be a TokenRequest of {_API_VERSION}, not {body.get('kind')}")
    if (metadata.get("name") or target.name) != target.name:
        raise BadRequest(
            f"name in URL does not match name in TokenRequest object: {metadata['name']!r} != {target.name!r}"
        )
    if (metadata.get("namespace") or target.namespace) != target.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if not isinstance(spec, dict):
        raise BadRequest("the spec must be an object")
    if causes := _check(spec):
        raise _invalid(target, causes)
    return spec


def _check(spec: Body) -> list[Cause]:
    causes = []
    seconds, audiences = spec.get("expirationSeconds"), spec.get("audiences") or []
    path = "spec.expirationSeconds"
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool)):
        causes.append(invalid(path, seconds, "must be an integer"))
    elif seconds is not None and seconds < SHORTEST_S:
        causes.append(invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    elif seconds is not None and seconds > _UNACCEPTABLE_S:
        causes.append(invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        causes.append(invalid("spec.audiences", audiences, "must be a list of strings"))
    reference = spec.get("boundObjectRef")
    if reference is not None and not (
        isinstance(reference, dict) and all(isinstance(value, str) for value in reference.values())
    ):
        causes.append(invalid("spec.boundObjectRef", reference, "must be a reference to an object"))
    return causes


def _invalid(target: Target, causes: list[Cause]) -> Invalid:
    listed = ", ".join(f"{cause.field}: {cause.message}" for cause in causes)
    details = {"name": target.name, "group": "authentication.k8s.io", "kind": "TokenRequest"}
    what = listed if len(causes) == 1 else f"[{listed}]"
    return Invalid(
        f'TokenRequest.authentication.k8s.io "{target.name}" is invalid: {what}', details=details, causes=causes
    )


def _seconds(spec: Body, context: Context) -> int:
    seconds: int = spec.get("expirationSeconds") or DEFAULT_S
    if seconds <= LONGEST_S:
        return seconds
    context.warnings.append(f"requested expiration of {seconds} seconds shortened to {LONGEST_S} seconds")
    return LONGEST_S


async def _bound(registry: Registry, target: Target, reference: Body | None) -> _Bound:
    if not reference:
        return _Bound()
    kind, name = reference.get("kind", ""), reference.get("name", "")
    if kind not in _BINDABLE or reference.get("apiVersion") != "v1":
        raise BadRequest(f"cannot bind token to object of type {reference.get('apiVersion', '')}, Kind={kind}")
    resource = _BINDABLE[kind]
    key = ObjectKey(resource, "" if resource == NODES else target.namespace, name)
    body, uid = await _found(registry, key, reference.get("uid", ""))
    match kind:
        case "Secret":
            return _Bound(secret=Reference(name, uid))
        case "Node":
            return _Bound(node=Reference(name, uid))
    spec = body["spec"]
    if spec.get("serviceAccountName") != target.name:
        raise BadRequest(
            f'cannot bind token for serviceaccount "{target.name}" to pod running with different serviceaccount name.'
        )
    node = await _node_of(registry, spec.get("nodeName", ""))
    return _Bound(pod=Reference(name, uid), node=node, named=audiences_of(spec))


async def _found(registry: Registry, key: ObjectKey, wanted_uid: str) -> tuple[Any, Uid]:
    kind = registry.kinds.of(key.resource)
    try:
        record = await registry.store.get(key)
    except NotFound:
        raise failures.not_found(kind, key.name) from None
    if wanted_uid and wanted_uid != record.uid:
        raise Conflict(
            f'Operation cannot be fulfilled on {key.resource} "{key.name}": the UID in the bound object reference '
            f"({wanted_uid}) does not match the UID in record. The object might have been deleted and then recreated",
            details={"name": key.name, "kind": key.resource},
        )
    return record.decode(), record.uid


async def _node_of(registry: Registry, name: str) -> Reference | None:
    if not name:
        return None
    try:
        return Reference(name, (await registry.store.get(ObjectKey(NODES, "", name))).uid)
    except NotFound:
        return None


def _hold_node(target: Target, context: Context, bound: _Bound) -> None:
    """Hold a node to its own pods: a token it asks for must die with one that is bound to it.

    Raises:
        Forbidden: It does not.
    """
    node = context.node
    if not node:
        return
    if bound.pod is None:
        raise _refused(target, "node requested token not bound to a pod")
    if bound.node is None or bound.node.name != node:
        raise _refused(target, "node requested token bound to a pod scheduled on a different node")


def _hold_audiences(target: Target, context: Context, bound: _Bound, foreign: set[str]) -> None:
    """Hold a node to the audiences of its pods: whoever takes over a device must not speak to others than they do.

    Source: Kubernetes' ``ServiceAccountNodeAudienceRestriction``.

    Raises:
        Forbidden: It asks for another.
    """
    unnamed = sorted(foreign - bound.named) if context.node else ()
    if unnamed:
        listed = ", ".join(f'"{audience}"' for audience in unnamed)
        raise _refused(target, f"audience {listed} not found in the pod's projected serviceAccountToken volumes")


def audiences_of(spec: Body) -> frozenset[str]:
    """Return the audiences that a pod's projected token volumes name."""
    sources = [
        source.get("serviceAccountToken") or {}
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
    ]
    return frozenset(audience for token in sources if (audience := token.get("audience")))


def _refused(target: Target, why: str) -> Forbidden:
    return failures.forbidden(target.kind, target.name, why)
