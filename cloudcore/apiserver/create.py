"""The verb ``create``."""

from __future__ import annotations

from cloudcore.apiserver import failures, strategy
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.durability import is_volatile
from cloudcore.apiserver.managedfields.tracking import FIELD, note_creation
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import decode
from cloudcore.apiserver.validation.objects import check_create
from cloudcore.apiserver.versions import check_new, received, spoken
from cloudcore.errors import AlreadyExists, NotFound
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body, Revision, Uid

_NAME_ATTEMPTS = 8
"""How often a generated name that is taken is replaced by another."""


async def create(registry: Registry, target: Target, body: Body, context: Context, *, applied: bool = False) -> Record:
    """Create an object and return it as stored. ``body`` is used up.

    Args:
        registry: What to work on.
        target: The kind and namespace; the name is taken from the body.
        body: The object; ``generateName`` is honoured.
        context: Who asks.
        applied: Whether the body says in ``managedFields`` who owns what, having been applied; else its creator does.

    Raises:
        AlreadyExists: The name is taken.
        BadRequest: The body cannot be decoded as this kind.
        Forbidden: A policy, or a namespace that is going away.
        Invalid: Fields are wrong; the causes name them.
        MethodNotAllowed: The kind cannot be created.
        TooManyRequests: Admission turned it away for now.
    """
    kind = target.kind
    if "create" not in kind.verbs:
        raise failures.not_allowed(kind, "create")
    decode(registry.schemas, spoken(target), body, context)
    strategy.address(target, body, target.version)
    check_new(target, body)
    body = received(registry, target, body, context)
    managed = body["metadata"].get(FIELD) if applied else None
    uid = Uid(strategy.prepare_create(registry, kind, body))
    kind.defaults(body)
    if kind.virtual:
        check_create(kind, body)
        return registry.create_virtual(kind, body, dry_run=context.dry_run)
    if managed is not None:
        body["metadata"][FIELD] = managed
    else:
        note_creation(target, body, context, registry.now())
    kind.prepare_create(body)  # what is set here is nobody's: whoever applies less than that does not take it away
    metadata = body["metadata"]
    named = Target(kind, target.namespace, metadata.get("name", ""))
    with Admission(Operation.CREATE, named, body, None, context, registry.store) as admission:
        await registry.admission.mutate(admission)
        check_create(kind, body)
        await registry.admission.validate(admission)
        if context.dry_run:
            return await _dry_run(registry, named, body, uid)
        return await _store(registry, named, body, uid)


async def _store(registry: Registry, target: Target, body: Body, uid: Uid) -> Record:
    metadata = body["metadata"]
    generated = metadata.get("generateName", "") and metadata["name"].startswith(metadata["generateName"][:58])
    for attempt in range(_NAME_ATTEMPTS):
        try:
            record = await registry.store.create(
                target.key, encode(body), uid=uid, volatile=is_volatile(target.kind, target.namespace)
            )
        except AlreadyExists:
            if not generated or attempt == _NAME_ATTEMPTS - 1:
                break
            metadata["name"] = registry.generated_name(metadata["generateName"])
            target = Target(target.kind, target.namespace, metadata["name"])
        else:
            target.kind.committed(record, removed=False)
            return record
    raise failures.already_exists(target.kind, metadata["name"])


async def _dry_run(registry: Registry, target: Target, body: Body, uid: Uid) -> Record:
    try:
        await registry.store.get(target.key)
    except NotFound:
        return Record(target.key, uid, Revision(0), Revision(0), encode(body))
    raise failures.already_exists(target.kind, target.name)
