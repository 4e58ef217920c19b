"""Names of images, by the grammar of the distribution project's reference package. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edgecore.pods.runtimes.specs import Credentials

DOCKER_HUB: Final = "docker.io"
_HUB_ALIASES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_REGISTRY})/)??(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
_LONGEST: Final = 255 + 128 + 160


class InvalidReference(ValueError):
    """This is no image's name."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's full name.

    Attributes:
        registry: Host and port; ``docker.io`` where none is stated.
        repository: Path within it.
        tag: Tag; ``latest`` where neither tag nor digest is stated, empty beside a digest without tag.
        digest: ``sha256:…``, or empty.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def canonical(self) -> str:
        """The name in full; of tag and digest the digest, which is the stricter."""
        last = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.registry}/{self.repository}{last}"


def parse(image: str) -> Reference:
    """Return what ``image`` names.

    Raises:
        InvalidReference: It is malformed.
    """
    match = _REFERENCE.fullmatch(image) if len(image) <= _LONGEST else None
    if match is None:
        raise InvalidReference("invalid reference format")
    registry, repository = match["registry"] or "", match["repository"]
    first, slash, rest = repository.partition("/")
    if not registry and slash and ("." in first or first == "localhost"):
        registry, repository = first, rest
    elif registry and not (set(".:[") & set(registry)) and registry != "localhost":
        # A first part that is no host belongs to the path, where capital letters are not allowed.
        if registry != registry.lower():
            raise InvalidReference("invalid reference format: repository name must be lowercase")
        registry, repository = "", f"{registry}/{repository}"
    if not registry or registry in _HUB_ALIASES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    digest = match["digest"] or ""
    return Reference(registry, repository, match["tag"] or ("" if digest else "latest"), digest)


def credentials_for(reference: Reference, held: Iterable[Credentials]) -> list[Credentials]:
    """Return the credentials that are meant for the image, those with the longest matching path first."""
    matching = [(len(path), one) for one in held if (path := _matched(reference, one.registry)) is not None]
    return [one for _, one in sorted(matching, key=lambda pair: -pair[0])]


def _matched(reference: Reference, stated: str) -> str | None:
    """Return the path of a registry as a secret states it, where it covers the image."""
    place = stated.removeprefix("https://").removeprefix("http://")
    host, _, path = place.partition("/")
    if host in _HUB_ALIASES:
        host = DOCKER_HUB
    path = "" if path.strip("/") in ("v1", "v2") else path.strip("/")
    if not _host_matches(host, reference.registry):
        return None
    covered = not path or reference.repository == path or reference.repository.startswith(f"{path}/")
    return path if covered else None


def _host_matches(stated: str, registry: str) -> bool:
    """Compare hosts; ``*`` in a stated one stands for one label of the name."""
    ours, theirs = stated.split("."), registry.split(".")
    return len(ours) == len(theirs) and all(a in ("*", b) for a, b in zip(ours, theirs, strict=True))
