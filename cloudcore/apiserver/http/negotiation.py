"""Which representation the client gets, and which its bodies are in. Sans-IO.

Kubernetes' ``Accept`` parameters: ``as`` names a transformation (``Table``, ``PartialObjectMetadata``,
``PartialObjectMetadataList``, ``APIGroupDiscoveryList``), ``g`` and ``v`` the group and version of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cloudcore.errors import NotAcceptable, UnsupportedMediaType

JSON = "application/json"
YAML = "application/yaml"
_MEDIA_TYPES = {
    JSON: JSON,
    "application/*": JSON,
    "*/*": JSON,
    YAML: YAML,
    "text/yaml": YAML,
    "application/x-yaml": YAML,
}
PROTOBUF = "application/vnd.kubernetes.protobuf"
_META = "meta.k8s.io"
_TRANSFORMATIONS = {
    ("Table", _META): frozenset({"v1", "v1beta1"}),
    ("PartialObjectMetadata", _META): frozenset({"v1", "v1beta1"}),
    ("PartialObjectMetadataList", _META): frozenset({"v1", "v1beta1"}),
    ("APIGroupDiscoveryList", "apidiscovery.k8s.io"): frozenset({"v2", "v2beta1"}),
}
_DISCOVERY = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Representation:
    """How an answer is written.

    Attributes:
        media_type: ``application/json`` or ``application/yaml``.
        transformation: ``Table``, ``PartialObjectMetadata``…; empty for the object as it is.
        group: The transformation's API group.
        version: The transformation's version.
    """

    media_type: str = JSON
    transformation: str = ""
    group: str = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        """The ``Content-Type`` of the answer; discovery clients look for its parameters."""
        if self.transformation == _DISCOVERY:
            return f"{self.media_type};g={self.group};v={self.version};as={self.transformation}"
        return self.media_type


@dataclass(frozen=True, slots=True)
class _Clause:
    media_type: str
    parameters: dict[str, str]
    quality: float


def _clauses(accept: str) -> list[_Clause]:
    """Parse an ``Accept`` header; highest quality first, else in the order written (RFC 9110, 12.5.1)."""
    clauses = []
    for item in accept.split(","):
        media_type, *rest = (part.strip() for part in item.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        clauses.append(_Clause(media_type.lower(), parameters, quality))
    return sorted(clauses, key=lambda clause: -clause.quality)


@lru_cache(maxsize=256)
def negotiate(accept: str, *, discovery: bool = False) -> Representation:
    """Choose the representation for an ``Accept`` header (empty: JSON).

    Args:
        accept: The header's value.
        discovery: The request is for ``/api`` or ``/apis``, where only aggregated discovery transforms; elsewhere
            only tables and partial metadata do.

    Raises:
        NotAcceptable: Nothing the client accepts can be given (protobuf only, for one).
    """
    if not accept.strip():
        return Representation()
    for clause in _clauses(accept):
        media_type = _MEDIA_TYPES.get(clause.media_type)
        if media_type is None or clause.quality <= 0:
            continue
        transformation = clause.parameters.get("as", "")
        if not transformation:
            return Representation(media_type)
        group, version = clause.parameters.get("g", ""), clause.parameters.get("v", "")
        known = version in _TRANSFORMATIONS.get((transformation, group), ())
        if known and (transformation == _DISCOVERY) == discovery:
            return Representation(media_type, transformation, group, version)
    raise NotAcceptable(
        "only the following media types are accepted: application/json, application/yaml, "
        "application/json;as=Table;v=v1;g=meta.k8s.io, application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    )


PATCH_TYPES = {
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/json-patch+json": "json",
    "application/apply-patch+yaml": "apply",
}


@lru_cache(maxsize=64)
def body_type(content_type: str) -> str:
    """Return ``application/json``, ``application/yaml`` or protobuf's type for a request body's ``Content-Type``.

    An absent type is JSON, as Kubernetes has it.

    Raises:
        UnsupportedMediaType: Another type (CBOR).
    """
    media_type = content_type.split(";", 1)[0].strip().lower()
    if not media_type:
        return JSON
    known = PROTOBUF if media_type == PROTOBUF else _MEDIA_TYPES.get(media_type)
    if known is None or "*" in media_type:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - "
            f"accepted media types include: {JSON}, {YAML}, {PROTOBUF}"
        )
    return known


@lru_cache(maxsize=64)
def patch_type(content_type: str) -> str:
    """Return ``merge``, ``strategic``, ``json`` or ``apply`` for a PATCH's ``Content-Type``.

    Raises:
        UnsupportedMediaType: Another type.
    """
    media_type = content_type.split(";", 1)[0].strip().lower()
    if media_type not in PATCH_TYPES:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(PATCH_TYPES)
        )
    return PATCH_TYPES[media_type]
