"""Which objects a list or a watch selects. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.history import Facets
from edgecore.metaserver.kinds import Kind
from edgecore.metaserver.targets import Query
from protocol.objects.keys import ObjectKey
from protocol.objects.resourcepaths import ResourcePath
from protocol.objects.selectors import Selector, matches, parse_field_selector, parse_label_selector


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request wants to see of a kind.

    Attributes:
        resource: The kind's group-resource.
        namespace: Only of this namespace; empty for all.
        name: Only the one of this name; empty for all.
        labels: Conditions on labels.
        fields: Conditions on other fields.
    """

    resource: str
    namespace: str
    name: str
    labels: Selector
    fields: Selector

    def selects_key(self, key: ObjectKey) -> bool:
        """Tell whether an object can be selected, by its key alone."""
        return key.resource == self.resource and self.namespace in ("", key.namespace) and self.name in ("", key.name)

    def selects(self, facets: Facets | None) -> bool:
        """Tell whether an object that its key does not rule out is selected; one that is not there never is."""
        return facets is not None and matches(self.labels, facets.labels) and matches(self.fields, facets.fields)


def selection_of(kind: Kind, place: ResourcePath, query: Query) -> Selection:
    """Read the selectors of a request.

    Raises:
        Failure: One cannot be read, or names a field that the kind does not select by.
    """
    try:
        labels = parse_label_selector(query.text("labelSelector"))
        fields = parse_field_selector(query.text("fieldSelector"))
    except ValueError as error:
        raise Failure("BadRequest", str(error)) from error
    for item in fields:
        if item.key not in {"metadata.name", "metadata.namespace"} and item.key not in kind.fields:
            raise Failure("BadRequest", f"field label not supported: {item.key}")
    return Selection(kind.resource, place.namespace, place.name or _named(fields), labels, fields)


def _named(fields: Selector) -> str:
    return next((item.values[0] for item in fields if item.key == "metadata.name" and item.operator == "In"), "")
