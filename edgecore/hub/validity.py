"""When an X.509 certificate is valid: the two times in its DER, without the library that the agent does not load.

RFC 5280, 4.1: ``Certificate`` is a sequence whose first part, ``TBSCertificate``, is a sequence of version (optional),
serial number, signature algorithm, issuer, validity, and more that is not looked at.
"""

from __future__ import annotations

import calendar
import time
from typing import Final

_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_FORMATS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
_BEFORE_VALIDITY: Final = 3


def validity(certificate: bytes) -> tuple[float, float]:
    """Return from when to when a certificate is valid, seconds since the epoch.

    Args:
        certificate: DER, of a certificate that somebody has verified.

    Raises:
        ValueError: It is none.
    """
    content, _ = _take(certificate, _SEQUENCE)
    rest, _ = _take(content, _SEQUENCE)
    if rest[:1] == bytes([_VERSION]):
        _, rest = _take(rest)
    for _ in range(_BEFORE_VALIDITY):
        _, rest = _take(rest)
    times, _ = _take(rest, _SEQUENCE)
    begin, times = _time(times)
    end, _ = _time(times)
    return begin, end


def _take(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """Return the content of the first element, and what follows it."""
    if len(data) < 2 or (tag is not None and data[0] != tag):
        raise ValueError("not a certificate")
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("a certificate that is cut off")
    return data[start : start + size], data[start + size :]


def _time(data: bytes) -> tuple[float, bytes]:
    form = _FORMATS.get(data[0]) if data else None
    if form is None:
        raise ValueError("a certificate without times")
    text, rest = _take(data)
    moment = time.strptime(text.decode("ascii"), form)
    if data[0] == _UTC_TIME and moment.tm_year >= 2050:  # RFC 5280, 4.1.2.5.1; Python's own turn is at 69
        moment = time.strptime(f"19{text.decode('ascii')}", _FORMATS[0x18])
    return float(calendar.timegm(moment)), rest
