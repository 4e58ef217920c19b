"""``create``, ``update``, ``patch``, ``delete`` and ``deletecollection`` over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from aiohttp import web

from cloudcore.apiserver.apply import apply
from cloudcore.apiserver.context import Context
from cloudcore.apiserver.create import create
from cloudcore.apiserver.delete import Deletion, bad_option, delete, delete_collection, read_options
from cloudcore.apiserver.http.bodies import read_body, read_configuration, read_json, read_object
from cloudcore.apiserver.http.call import Call
from cloudcore.apiserver.http.listing import send_list
from cloudcore.apiserver.http.negotiation import patch_type
from cloudcore.apiserver.http.reads import list_options
from cloudcore.apiserver.http.responses import respond, respond_object
from cloudcore.apiserver.http.status import success
from cloudcore.apiserver.list import Page
from cloudcore.apiserver.patch import patch
from cloudcore.apiserver.update import put
from cloudcore.client import PatchType
from cloudcore.errors import Cause, Invalid
from cloudcore.store.base import Record
from protocol.objects.keys import Body

_ONLY_APPLY = "Forbidden: may not be specified for non-apply patch"
_NO_MANAGER = "Required value: is required for apply patch"


def _written(call: Call, record: Record, status: int = 200) -> web.Response:
    body = call.renderer.one(record)
    return respond(call.request, body, call.representation, status=status, warnings=call.context.warnings)


async def handle_create(call: Call) -> web.StreamResponse:
    """Create an object."""
    body = await read_object(call.request, context=call.context)
    record = await create(call.registry, call.target, body, call.context)
    _warn_of_inert(call)
    return _written(call, record, 201)


async def handle_update(call: Call) -> web.StreamResponse:
    """Replace an object or a subresource of it; objects of some kinds are created so, too."""
    body = await read_object(call.request, context=call.context)
    record, created = await put(call.registry, call.target, body, call.context)
    if created:
        _warn_of_inert(call)
    return _written(call, record, 201 if created else 200)


async def handle_patch(call: Call) -> web.StreamResponse:
    """Patch an object or a subresource of it."""
    kind = patch_type(call.content_type)
    if kind == "apply":
        return await _handle_apply(call)
    if call.query.text("force"):
        raise _bad_patch_option("force", Cause("FieldValueForbidden", _ONLY_APPLY, "force"))
    changes = read_json(await read_body(call.request), call.context)
    record = await patch(call.registry, call.target, changes, call.context, kind=cast(PatchType, kind))
    return _written(call, record)


async def _handle_apply(call: Call) -> web.StreamResponse:
    if not call.query.text("fieldManager"):
        raise _bad_patch_option("fieldManager", Cause("FieldValueRequired", _NO_MANAGER, "fieldManager"))
    config = await read_configuration(call.request, call.context)
    record, created = await apply(call.registry, call.target, config, call.context, force=call.query.flag("force"))
    if created:
        _warn_of_inert(call)
    return _written(call, record, 201 if created else 200)


def _warn_of_inert(call: Call) -> None:
    """Say so to whoever creates an object that nothing acts on."""
    if call.target.kind.inert:
        call.context.warnings.append(call.target.kind.inert)


def _bad_patch_option(field: str, cause: Cause) -> Invalid:
    details = {"group": "meta.k8s.io", "kind": "PatchOptions"}
    return Invalid(f'PatchOptions.meta.k8s.io "" is invalid: {field}: {cause.message}', details=details, causes=[cause])


async def handle_delete(call: Call) -> web.StreamResponse:
    """Delete an object, or begin to."""
    options = await _delete_options(call)
    deletion = await delete(call.registry, call.target, _deletion_context(call, options), read_options(options))
    if not deletion.removed or call.target.kind.returns_deleted:
        return _written(call, deletion.record)
    return respond_object(call.request, success(_details(call, deletion)), warnings=call.context.warnings)


async def handle_delete_collection(call: Call) -> web.StreamResponse:
    """Delete every object that is selected."""
    options = await _delete_options(call)
    selected = list_options(call.query)
    context = _deletion_context(call, options)
    deletions = await delete_collection(call.registry, call.target, context, read_options(options), selected)
    page = Page([deletion.record for deletion in deletions], call.registry.store.revision)
    return await send_list(call.request, page, call.renderer, call.representation)


def _details(call: Call, deletion: Deletion) -> Body:
    kind = call.target.kind
    details = {"name": deletion.record.key.name, "kind": kind.plural, "uid": deletion.record.uid}
    return details | {"group": kind.group} if kind.group else details


async def _delete_options(call: Call) -> Body:
    """Return a deletion's ``DeleteOptions``: the body, or what the query says where there is none."""
    if body := await read_object(call.request, optional=True):
        return body
    query = call.query
    options: Body = {}
    if (grace_s := query.number("gracePeriodSeconds")) is not None:
        options["gracePeriodSeconds"] = grace_s
    if query.text("propagationPolicy"):
        options["propagationPolicy"] = query.text("propagationPolicy")
    if query.text("orphanDependents"):
        options["orphanDependents"] = query.flag("orphanDependents")
    return options


def _deletion_context(call: Call, options: Body) -> Context:
    """Return the context, with the dry run that a deletion's body may ask for."""
    dry_run = options.get("dryRun") or []
    if dry_run not in ([], ["All"]):
        raise bad_option("dryRun", dry_run)
    return replace(call.context, dry_run=call.context.dry_run or bool(dry_run))
