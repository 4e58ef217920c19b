"""The ``status`` subresource: what is observed, written apart from what is wanted."""

from __future__ import annotations

from protocol.objects.keys import Body


class StatusView:
    """Reads as the whole object; writing changes its status and nothing else."""

    is_whole = True
    status_only = True

    def read(self, body: Body) -> Body:
        """Return the object."""
        return body

    def write(self, old: Body, view: Body) -> Body:
        """Return the stored object with the new status; an absent one clears it."""
        merged = {key: value for key, value in old.items() if key != "status"}
        if "status" in view:
            merged["status"] = view["status"]
        return merged
