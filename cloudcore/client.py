"""The in-process Kubernetes API client: what controllers, scheduler and hub write through.

There is no side door: these calls run the same verbs (defaulting, admission, validation, strategy) as an HTTP
request. ``cloudcore.apiserver.local.LocalClient`` implements it on our API server; another implementation speaks
REST to a real one.
"""

from __future__ import annotations

from typing import Literal, Protocol

from protocol.objects.keys import Body, Revision, Uid

Propagation = Literal["Background", "Foreground", "Orphan"]
PatchType = Literal["merge", "strategic", "json"]
Patch = Body | list[Body]
"""A merge or strategic patch is an object, a JSON patch a list of operations."""


class Client(Protocol):
    """Reads and writes objects as dicts. All methods raise :class:`cloudcore.errors.ApiError` subclasses.

    ``resource`` is a group-resource (``pods``, ``deployments.apps``); ``namespace`` is empty for cluster scope.
    Returned dicts are the caller's to change.
    """

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        """Return the object.

        Raises:
            NotFound: There is none.
        """

    async def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Body]:
        """Return the objects that match."""

    async def create(self, resource: str, body: Body) -> Body:
        """Create an object in ``metadata.namespace``; ``generateName`` is honoured.

        Raises:
            AlreadyExists: The name is taken.
            Invalid: A field is wrong.
            TooManyRequests: Admission turned it away for now.
        """

    async def update(self, resource: str, body: Body, *, subresource: str = "") -> Body:
        """Replace an object (or its ``status``, ``scale``…) with compare-and-swap on its ``resourceVersion``.

        An absent ``resourceVersion`` replaces unconditionally.

        Raises:
            NotFound: There is no such object.
            Conflict: It changed meanwhile.
        """

    async def patch(
        self,
        resource: str,
        namespace: str,
        name: str,
        patch: Patch,
        *,
        kind: PatchType = "merge",
        subresource: str = "",
    ) -> Body:
        """Patch an object, read and written in one step.

        Raises:
            NotFound: There is no such object.
            Conflict: The patch names a ``uid`` or ``resourceVersion`` that does not hold.
        """

    async def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        uid: Uid | None = None,
        revision: Revision | None = None,
        grace_s: int | None = None,
        propagation: Propagation = "Background",
    ) -> Body:
        """Delete an object (or begin to: finalizers, grace period).

        Args:
            resource: Its group-resource.
            namespace: Its namespace.
            name: Its name.
            uid: Precondition on the uid.
            revision: Precondition on the revision.
            grace_s: Grace period for pods, seconds; 0 removes at once; None takes the object's own.
            propagation: What becomes of its dependents.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
        """

    async def bind(self, namespace: str, name: str, node: str, *, uid: Uid) -> None:
        """Bind a pod to a node (the ``pods/binding`` subresource).

        Raises:
            Conflict: The pod is bound already, is going away, or has another uid.
        """
