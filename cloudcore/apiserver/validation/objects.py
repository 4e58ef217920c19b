"""Validation of whole objects: metadata, then the kind's own rules."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.metadata import check_metadata, check_metadata_update
from protocol.objects.keys import Body


def check_create(kind: Kind, body: Body) -> None:
    """Check a new object.

    Raises:
        Invalid: Fields are wrong; the causes name them.
    """
    causes = [*check_metadata(kind.name_rule, body["metadata"]), *kind.validate(body)]
    if causes:
        raise failures.invalid(kind, body["metadata"].get("name", ""), causes)


def check_status(kind: Kind, body: Body, old: Body) -> None:
    """Check an object whose status has changed.

    Raises:
        Invalid: Fields are wrong.
    """
    causes = kind.validate_status(body, old)
    if causes:
        raise failures.invalid(kind, old["metadata"]["name"], causes)


def check_update(kind: Kind, body: Body, old: Body) -> None:
    """Check a changed object.

    Raises:
        Invalid: Fields are wrong, or may not change.
    """
    if body == old:
        return
    causes = check_metadata_update(kind.name_rule, body["metadata"], old["metadata"])
    causes += kind.validate_update(body, old)
    if not kind.ratchets:
        causes += kind.validate(body)
    if causes:
        raise failures.invalid(kind, old["metadata"]["name"], causes)
