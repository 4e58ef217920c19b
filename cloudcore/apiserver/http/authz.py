"""What a user may do. Sans-IO.

Administrators may do everything. A node sees and writes only its own slice: its Node, the pods bound to it, what
those pods name, and its own lease. Everyone else may do what roles grant (:mod:`cloudcore.apiserver.rbac`). What no
authorizer allows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cloudcore.apiserver.http.authn import MASTERS, User
from cloudcore.errors import Forbidden
from protocol.objects.devices import DEVICE_MODELS, DEVICES
from protocol.objects.keys import NodeName, ObjectKey
from protocol.objects.resources import (
    CLAIMS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    LEASES,
    NODES,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    RUNTIME_CLASSES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE

SliceContains = Callable[[NodeName, ObjectKey], bool]
"""Tells whether an object is in a node's slice."""

_READS = frozenset({"get", "list", "watch"})
_NODE_READS = frozenset(
    {
        CONFIG_MAPS,
        SECRETS,
        SERVICE_ACCOUNTS,
        SERVICES,
        ENDPOINT_SLICES,
        CLAIMS,
        PERSISTENT_VOLUMES,
        RUNTIME_CLASSES,
        PRIORITY_CLASSES,
        DEVICES,
        DEVICE_MODELS,
    }
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request would do.

    Attributes:
        verb: ``get``, ``list``, ``watch``, ``create``, ``update``, ``patch``, ``delete``, ``deletecollection``, or one
            that is only asked about: ``impersonate``, ``bind``, ``escalate``, ``approve``, ``sign``. For a path that
            is no resource's, the HTTP method in lower case.
        resource: The plural resource name; empty for a path that is no resource's.
        group: Its API group.
        namespace: Empty for cluster scope and for all namespaces.
        name: Empty for a collection.
        subresource: Empty for the object itself.
        field_selector: The request's field selector, as written.
        path: The path of a request that speaks of no resource: ``/apis``; empty otherwise.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    field_selector: str = ""
    path: str = ""

    @property
    def group_resource(self) -> str:
        """The store's name for the resource."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may go on.

    Attributes:
        allowed: It may.
        reason: Why; one clause, may be empty.
    """

    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Decides on requests."""

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        """Return whether ``user`` may do what ``attributes`` say."""


NO_OPINION: Final = Decision(False)


@dataclass(frozen=True, slots=True)
class Authorizers:
    """Several authorizers; what one of them allows is allowed.

    Attributes:
        each: In the order they are asked.
    """

    each: Sequence[Authorizer]

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        """Return whether ``user`` may do what ``attributes`` say; a refusal carries everyone's reasons."""
        reasons = []
        for authorizer in self.each:
            decision = authorizer.authorize(user, attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons)) if reasons else NO_OPINION


class MastersAuthorizer:
    """Allows the group ``system:masters`` everything, whatever roles say: nobody can lock administrators out."""

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        """Return whether ``user`` is an administrator."""
        del attributes
        return _MASTER if MASTERS in user.groups else NO_OPINION


_MASTER: Final = Decision(True)


@dataclass(frozen=True, slots=True)
class NodeAuthorizer:
    """What nodes may do.

    Attributes:
        slice_contains: Tells whether an object is in a node's slice.
    """

    slice_contains: SliceContains

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        """Return whether ``user`` is a node that may do what ``attributes`` say."""
        if not user.node:
            return NO_OPINION
        return _authorize_node(NodeName(user.node), attributes, self.slice_contains)


def _authorize_node(node: NodeName, attributes: Attributes, slice_contains: SliceContains) -> Decision:
    resource = attributes.group_resource
    if resource == NODES:
        return _own_node(node, attributes)
    if resource == LEASES:
        return _own_lease(node, attributes)
    if resource == PODS:
        return _own_pods(node, attributes, slice_contains)
    if resource == SERVICE_ACCOUNTS and (attributes.verb, attributes.subresource) == ("create", "token"):
        # Admission holds the token to a pod that is bound to the node.
        return _in_slice(node, attributes, slice_contains)
    if resource in _NODE_READS and attributes.verb in _READS and not attributes.subresource:
        return _in_slice(node, attributes, slice_contains)
    return Decision(False)


def _own_node(node: NodeName, attributes: Attributes) -> Decision:
    if _named(attributes) != node:
        return Decision(False, f"node {node!r} can only access its own Node")
    if attributes.subresource == "status":
        return Decision(attributes.verb in {"get", "patch", "update"})
    if attributes.subresource or attributes.verb not in _READS:
        return Decision(False, f"node {node!r} may only read its Node and write its status")
    return Decision(True)


def _own_lease(node: NodeName, attributes: Attributes) -> Decision:
    if attributes.namespace != NODE_LEASE_NAMESPACE:
        return Decision(False, f"can only access leases in the {NODE_LEASE_NAMESPACE!r} system namespace")
    # The name of an object to be created is in its body, which admission holds to the path; a node's lease is
    # created by the cloud when it joins, so only a named lease is ever a node's own.
    if attributes.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return Decision(attributes.verb in {"get", "update", "patch"} and not attributes.subresource)


def _own_pods(node: NodeName, attributes: Attributes, slice_contains: SliceContains) -> Decision:
    if attributes.verb in {"list", "watch"} and not attributes.name:
        if required_of(attributes.field_selector, "spec.nodeName") == node:
            return Decision(True)
        return Decision(False, f"can only list/watch pods with spec.nodeName={node} field selector")
    if attributes.verb == "create" and not attributes.subresource:
        return Decision(True)  # admission holds it to mirrors of the node's own static pods
    if attributes.subresource == "status":
        allowed = attributes.verb in {"get", "patch", "update"}
    else:
        allowed = not attributes.subresource and attributes.verb in _READS | {"delete"}
    return _in_slice(node, attributes, slice_contains) if allowed else Decision(False)


def _in_slice(node: NodeName, attributes: Attributes, slice_contains: SliceContains) -> Decision:
    name = _named(attributes)
    key = ObjectKey(attributes.group_resource, attributes.namespace, name)
    if name and slice_contains(node, key):
        return Decision(True)
    return Decision(False, f"no relationship found between node {node!r} and this object")


def _named(attributes: Attributes) -> str:
    """Return the one object a request speaks of: by its path, or by its field selector."""
    if attributes.name or attributes.verb not in {"list", "watch"}:
        return attributes.name
    return required_of(attributes.field_selector, "metadata.name")


def required_of(field_selector: str, field: str) -> str:
    """Return the value a field selector requires of ``field``; empty where it requires none."""
    for term in field_selector.split(","):
        key, operator, value = term.partition("=")
        if operator and key.strip() == field:
            return value.removeprefix("=").strip()
    return ""


def forbidden(user: User, attributes: Attributes, decision: Decision) -> Forbidden:
    """Return the error that tells ``user`` what it may not do, in Kubernetes' words."""
    if attributes.path:
        message = f'forbidden: User "{user.name}" cannot {attributes.verb} path "{attributes.path}"'
        return Forbidden(f"{message}: {decision.reason}" if decision.reason else message)
    what = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    subject = f'{attributes.group_resource} "{attributes.name}"' if attributes.name else attributes.group_resource
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {attributes.verb} resource "{what}" '
        f'in API group "{attributes.group}" {where}'
    )
    details: dict[str, Any] = {"kind": attributes.resource}
    if attributes.name:
        details["name"] = attributes.name
    if attributes.group:
        details["group"] = attributes.group
    return Forbidden(f"{message}: {decision.reason}" if decision.reason else message, details=details)
