"""The ``approval`` subresource of certificate requests: whether an administrator approved or denied one."""

from __future__ import annotations

from cloudcore.errors import BadRequest
from protocol.objects.keys import Body


class ApprovalView:
    """Reads as the request; writing changes the conditions of its status and nothing else."""

    is_whole = True
    status_only = True

    def read(self, body: Body) -> Body:
        """Return the request."""
        return body

    def write(self, old: Body, view: Body) -> Body:
        """Return the stored request with the new conditions.

        Raises:
            BadRequest: The status is no object.
        """
        status = view.get("status") or {}
        if not isinstance(status, dict):
            raise BadRequest("the status must be an object")
        return {**old, "status": {**(old.get("status") or {}), "conditions": status.get("conditions") or []}}
