"""The verb ``list``: selection, and pages at one fixed revision."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Target
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.selection import Selection, select, selected
from cloudcore.errors import BadRequest, Cause, GatewayTimeout, Gone
from cloudcore.store.base import Listing, Record
from protocol.objects.keys import Revision

_LONGEST_VERSION = 19
"""Digits of the largest signed 64-bit number."""


_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list asks for; every text as the query string has it.

    Attributes:
        label_selector: Which labels.
        field_selector: Which fields.
        limit: At most so many objects; 0 for all.
        continue_token: Where the page before ended.
        resource_version: The revision asked for; empty or ``0`` for any, which here is the newest.
        resource_version_match: ``Exact``, ``NotOlderThan`` or empty.
    """

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A list's answer.

    Attributes:
        records: The selected objects, sorted by namespace and name.
        revision: The revision they are of.
        continue_token: Asks for the next page; empty at the end.
        remaining: How many follow; None where that is not known (selectors) or nothing follows.
    """

    records: Sequence[Record]
    revision: Revision
    continue_token: str = ""
    remaining: int | None = None


async def list_objects(registry: Registry, target: Target, options: ListOptions | None = None) -> Page:
    """Return the selected objects of a kind; an empty ``target.namespace`` means all namespaces.

    Raises:
        BadRequest: A selector, token or version cannot be read.
        Gone: The revision has been compacted away.
        GatewayTimeout: The revision has not been issued yet.
    """
    options = options or ListOptions()
    if "list" not in target.kind.verbs:
        raise failures.not_allowed(target.kind, "list")
    selection = select(target.version or target.kind, options.label_selector, options.field_selector, target.name)
    if target.kind.virtual:
        place = target.namespace
        records = [each for each in registry.virtual_records(target.kind, place) if place in {"", each.key.namespace}]
        return Page(await selected(selection, records), registry.store.revision)
    at, after = _position(registry, options)
    try:
        listing = await registry.store.list(target.kind.resource, namespace=target.namespace or None, at=at)
    except Gone as error:
        raise error if after is None else _too_old(after) from error
    return await _page(listing, selection, after, options.limit)


def _position(registry: Registry, options: ListOptions) -> tuple[Revision | None, tuple[str, str] | None]:
    """Return the revision to list at (None: now) and the (namespace, name) to go on after."""
    if options.continue_token:
        if options.resource_version not in {"", "0"}:
            raise BadRequest("specifying resource version is not allowed when using continue")
        revision, after = _decode_token(options.continue_token)
        return revision or None, after
    version = parse_version(options.resource_version)
    if options.resource_version_match not in {"", "Exact", "NotOlderThan"}:
        raise BadRequest(f"resourceVersionMatch: Unsupported value: {options.resource_version_match!r}")
    if options.resource_version_match and not options.resource_version:
        raise BadRequest("resourceVersionMatch is forbidden unless resourceVersion is provided")
    require_reached(registry, version)
    exact = options.resource_version_match == "Exact" or (options.limit and not options.resource_version_match)
    return (version if exact and version else None), None


def parse_version(text: str) -> Revision:
    """Return a ``resourceVersion`` as a number; empty is 0.

    Raises:
        BadRequest: It is no version.
    """
    if text and not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_VERSION):
        raise BadRequest(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return Revision(int(text or 0))


def require_reached(registry: Registry, version: Revision) -> None:
    """Refuse a revision of the future: it is of another incarnation of the store.

    Raises:
        GatewayTimeout: It has not been issued.
    """
    newest = registry.store.revision
    if version > newest:
        why = "Too large resource version"
        raise GatewayTimeout(
            f"Timeout: {why}: {version}, current: {newest}",
            causes=[Cause("ResourceVersionTooLarge", why)],
            retry_after_s=1,
        )


async def _page(listing: Listing, selection: Selection, after: tuple[str, str] | None, limit: int) -> Page:
    records = listing.records
    start = bisect_right(records, after, key=_place) if after is not None else 0
    if selection.is_everything:
        end = min(len(records), start + limit) if limit else len(records)
        chosen, left = records[start:end], len(records) - end
        token = _encode_token(listing.revision, _place(chosen[-1])) if left and chosen else ""
        return Page(chosen, listing.revision, token, left or None)
    # One more than asked for tells whether another page follows.
    found = await selected(selection, records[start:], limit + 1 if limit else 0)
    if limit and len(found) > limit:
        return Page(found[:limit], listing.revision, _encode_token(listing.revision, _place(found[limit - 1])))
    return Page(found, listing.revision)


def _place(record: Record) -> tuple[str, str]:
    return record.key.namespace, record.key.name


def _too_old(after: tuple[str, str]) -> Gone:
    """Return the error of a page whose revision is gone, with a token that goes on at the present revision."""
    error = Gone(_TOO_OLD)
    error.continue_token = _encode_token(Revision(0), after)
    return error


def _encode_token(revision: Revision, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([revision, *after])).decode().rstrip("=")


def _decode_token(token: str) -> tuple[Revision, tuple[str, str]]:
    try:
        revision, namespace, name = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return Revision(int(revision)), (str(namespace), str(name))
    except (binascii.Error, ValueError, TypeError) as error:
        raise BadRequest(f"continue key is not valid: {error}") from error
