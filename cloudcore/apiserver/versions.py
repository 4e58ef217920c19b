"""Kinds that are served in more than one version and kept in one: the seam between the two.

Verbs work on what is kept. A request that speaks another version is converted where its body comes in, and the
answer where it goes out (:mod:`cloudcore.apiserver.http.rendering`); patches apply to the version they are written
for. In-process clients always speak the version that is kept.
"""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import decode
from protocol.objects.keys import Body


def spoken(target: Target) -> Kind:
    """Return the row of the version that the request speaks."""
    return target.version or target.kind


def shown(target: Target, body: Body) -> Body:
    """Return a kept object in the version that the request speaks."""
    version = target.version
    return body if version is None or version.conversion is None else version.conversion.outward(body)


def received(registry: Registry, target: Target, body: Body, context: Context) -> Body:
    """Decode an object in the version that the request speaks, and return it in the one that is kept.

    Raises:
        BadRequest: The body cannot be decoded as that version.
    """
    version = target.version
    if version is None or version.conversion is None:
        return body
    decode(registry.schemas, version, body, context)
    return version.conversion.inward(body)


def check_new(target: Target, body: Body) -> None:
    """Check a new object, in the version that the request speaks, against what that version asks for besides.

    Raises:
        Invalid: It breaks a rule.
    """
    version = target.version
    causes = version.conversion.check(body) if version is not None and version.conversion is not None else []
    if causes:
        raise failures.invalid(target.kind, str(body["metadata"].get("name", "")), causes)
