"""The verb ``patch``: change an object, or a view of it, by a description of the change."""

from __future__ import annotations

from cloudcore.apiserver.change import change
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.views import view_of
from cloudcore.apiserver.validation.mergerules import merge_rules
from cloudcore.apiserver.versions import spoken
from cloudcore.client import Patch, PatchType
from cloudcore.errors import BadRequest, Invalid, UnsupportedMediaType
from cloudcore.store.base import Record
from protocol.objects.keys import Body
from protocol.objects.patches import PatchFailed, PatchMalformed, json_patch, merge_patch, strategic_merge


async def patch(
    registry: Registry, target: Target, changes: Patch, context: Context, *, kind: PatchType = "merge"
) -> Record:
    """Patch an object and return it as stored.

    Raises:
        BadRequest: The patch is malformed.
        UnsupportedMediaType: It is a strategic merge patch, and the kind has no schema that says how.
        Conflict: It names a revision or uid that does not hold.
        Invalid: It does not apply, or its result breaks a rule.
        NotFound: There is no such object.
    """
    view = view_of(target, "patch")
    schema = spoken(target).schema if view.is_whole else ""
    if kind == "strategic" and not schema and view.is_whole:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json"
        )

    def transform(present: Body) -> Body:
        return _apply(kind, present, changes, schema)

    return await change(registry, target, view, transform, context)


def _apply(kind: PatchType, present: Body, changes: Patch, schema: str) -> Body:
    try:
        if kind == "json":
            return json_patch(present, changes)
        if not isinstance(changes, dict):
            raise PatchMalformed("a merge patch must be an object")
        if kind == "merge":
            merged: Body = merge_patch(present, changes)
            return merged
        return strategic_merge(present, changes, merge_rules(schema))
    except PatchMalformed as error:
        raise BadRequest(str(error)) from error
    except PatchFailed as error:
        raise Invalid(f"the server rejected our request due to an error in our request: {error}") from error
