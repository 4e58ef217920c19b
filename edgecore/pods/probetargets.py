"""Whom a probe or hook addresses: the host, port and words that a container's handler names. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from edgecore.pods.environment import expand
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body

USER_AGENT = "kube-probe/1.33"
_PATH_SAFE = "/%:@!$&'()*+,;=-._~?"


class TargetUnknown(AiokubeedgeError):
    """A handler names nothing that can be addressed."""


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where an HTTP request goes.

    Attributes:
        secure: Whether over TLS; certificates are not checked.
        host: Name or address to connect to.
        port: TCP port.
        path: Path and query, ready for the request line.
        headers: In their order; ``Host`` among them only where it is not ``host``.
    """

    secure: bool
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        """The URL, as messages name it."""
        return f"{'https' if self.secure else 'http'}://{authority(self.host, self.port)}{self.path}"

    def redirected(self, location: str) -> HttpTarget | None:
        """Return where a redirection leads, or None where that is another host, or nowhere.

        A probe is about its container: what another host answers says nothing of it.
        """
        try:
            parts = urlsplit(urljoin(self.url, location))
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return None
        if parts.scheme not in ("http", "https") or (parts.hostname or "") != self.host.lower():
            return None
        path = _path(parts.path + (f"?{parts.query}" if parts.query else ""))
        return HttpTarget(parts.scheme == "https", self.host, port, path, self.headers)


def http_target(action: Body, container: Body, address: str) -> HttpTarget:
    """Return where an ``httpGet`` goes.

    Args:
        action: The ``httpGet``.
        container: The container's spec, for named ports.
        address: The pod's address, which is addressed where the handler names no host.

    Raises:
        TargetUnknown: It names no usable port, or a header cannot be sent.
    """
    headers = tuple((header["name"], header.get("value") or "") for header in action.get("httpHeaders") or ())
    for name, value in headers:
        if not name or set("\r\n\0") & set(name + value) or ":" in name:
            raise TargetUnknown(f"header {name!r} cannot be sent")
    secure = (action.get("scheme") or "HTTP").upper() == "HTTPS"
    host = (action.get("host") or address).strip("[]")
    return HttpTarget(secure, host, port_of(action.get("port"), container), _path(action.get("path") or "/"), headers)


def port_of(stated: object, container: Body) -> int:
    """Return the number of a port that is stated by number or by the name the container gives it.

    Raises:
        TargetUnknown: The container has no port of that name, or the number is none.
    """
    if isinstance(stated, str) and not stated.isdigit():
        named = (port.get("containerPort") for port in container.get("ports") or () if port.get("name") == stated)
        number = next(named, None)
        if number is None:
            raise TargetUnknown(f"couldn't find port: {stated!r}")
    else:
        number = stated
    try:
        port = int(str(number))
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise TargetUnknown(f"invalid port number: {number}")
    return port


def command_of(action: Body, container: Body) -> tuple[str, ...]:
    """Return the words of an ``exec``, with the variables that the container states outright put in.

    Raises:
        TargetUnknown: There are none.
    """
    stated = {one["name"]: one.get("value") or "" for one in container.get("env") or () if not one.get("valueFrom")}
    words: Sequence[str] = action.get("command") or ()
    if not words:
        raise TargetUnknown("exec names no command")
    return tuple(expand(word, stated) for word in words)


def authority(host: str, port: int) -> str:
    """Return ``host:port``, with the brackets an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _path(path: str) -> str:
    path = path.partition("#")[0]
    return quote(path if path.startswith("/") else f"/{path}", safe=_PATH_SAFE)
