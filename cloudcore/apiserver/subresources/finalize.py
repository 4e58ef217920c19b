"""The ``finalize`` subresource of namespaces: ``spec.finalizers``, which the namespace controller empties."""

from __future__ import annotations

from cloudcore.apiserver.subresources.scale import spec_of
from protocol.objects.keys import Body


class FinalizeView:
    """Reads as the namespace; writing changes its ``spec.finalizers`` and nothing else."""

    is_whole = True
    status_only = False

    def read(self, body: Body) -> Body:
        """Return the namespace."""
        return body

    def write(self, old: Body, view: Body) -> Body:
        """Return the stored namespace with the new finalizers."""
        spec = dict(old.get("spec") or {})
        spec["finalizers"] = spec_of(view).get("finalizers") or []
        return {**old, "spec": spec}
