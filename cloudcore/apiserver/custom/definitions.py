"""CustomResourceDefinitions at work: their row, and the rows they add to the table of kinds.

A definition is judged when it is written (are its names free?), and its kinds are in the table when its author gets
the answer: :meth:`Definitions.committed` runs between the commit and the reply. On a restart the same is done for
every stored definition before anything is served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cloudcore.apiserver.custom.checks import check_definition, check_definition_update, default_definition
from cloudcore.apiserver.custom.names import ESTABLISHED, is_true, resource_of, status_of_names
from cloudcore.apiserver.custom.rows import rows_of
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.kinds.table import KindTable
from cloudcore.store.base import Record
from protocol.objects.keys import Body
from protocol.objects.times import timestamp

GROUP: Final = "apiextensions.k8s.io"
CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that keeps a definition until its objects are gone."""


class Definitions:
    """Keeps a table of kinds in step with the definitions.

    Args:
        table: The table; the row of definitions themselves is added to it.
        clock: Wall clock, seconds since the epoch.
    """

    def __init__(self, table: KindTable, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock
        # What each resource's rows were made of: a status report must not build them anew.
        self._made: dict[str, tuple[str, object, object]] = {}
        table.replace(self._row().resource, (self._row(),))

    def _row(self) -> Kind:
        return Kind(
            kind="CustomResourceDefinition",
            plural="customresourcedefinitions",
            group=GROUP,
            schema="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
            namespaced=False,
            short_names=("crd", "crds"),
            categories=("api-extensions",),
            subresources=(status_of("CustomResourceDefinition", GROUP),),
            status=True,
            generation=True,
            defaults=default_definition,
            prepare_create=self._begin,
            prepare_update=self._judge,
            validate=check_definition,
            validate_update=check_definition_update,
            committed=self.committed,
        )

    def _begin(self, body: Body) -> None:
        """Hold a new definition until its objects are gone, and judge its names."""
        held = body["metadata"].get("finalizers") or []
        body["metadata"]["finalizers"] = held if CLEANUP in held else [*held, CLEANUP]
        body["status"] = status_of_names(body, self._table, timestamp(self._clock()))

    def _judge(self, body: Body, _old: Body) -> None:
        """Say in the status whether the names are free; those of others may have come or gone."""
        body["status"] = status_of_names(body, self._table, timestamp(self._clock()))

    def committed(self, record: Record, *, removed: bool) -> None:
        """Take over a definition that has been written: serve its kinds, or cease to."""
        body = record.decode()
        resource = resource_of(body)
        if removed:
            if self._made.pop(resource, ("",))[0] == record.uid:
                self._table.replace(resource, ())
            return
        if not is_true(body, ESTABLISHED) or self._is_built_in(resource):
            return
        made_of = (record.uid, body["metadata"].get("generation"), body["metadata"].get("deletionTimestamp"))
        if self._made.get(resource) != made_of:
            self._made[resource] = made_of
            self._table.replace(resource, rows_of(body))

    def _is_built_in(self, resource: str) -> bool:
        """Tell whether a definition would take a built-in kind's place, whatever its status has been made to say."""
        return resource in self._table and not self._table.of(resource).defined
