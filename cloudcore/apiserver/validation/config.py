"""Rules of ConfigMaps and Secrets.

Source: Kubernetes ``ValidateConfigMap``, ``ValidateSecret``.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, required, too_long
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_LIMIT_BYTES: Final = 1024 * 1024
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_ERROR: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_IMMUTABLE: Final = "field is immutable when `immutable` is set"
_NEEDED: Final = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def check_configmap(body: Body) -> list[Cause]:
    """Return what is wrong with a ConfigMap."""
    data, binary = body.get("data") or {}, body.get("binaryData") or {}
    causes = _check_keys("data", data) + _check_keys("binaryData", binary)
    causes += [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary]
    causes += _check_encoding("binaryData", binary)
    if sum(map(_size, data.values())) + sum(map(len, binary.values())) * 3 // 4 > _LIMIT_BYTES:
        causes.append(too_long("", _LIMIT_BYTES))
    return causes


def check_secret(body: Body) -> list[Cause]:
    """Return what is wrong with a Secret."""
    data = body.get("data") or {}
    causes = _check_keys("data", data) + _check_encoding("data", data)
    if sum(map(len, data.values())) * 3 // 4 > _LIMIT_BYTES:
        causes.append(too_long("data", _LIMIT_BYTES))
    needed = _NEEDED.get(body.get("type", ""), ())
    causes += [required(f"data[{key}]") for key in needed if key not in data]
    if body.get("type") == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        causes += [required("data[username]"), required("data[password]")]
    return causes


def check_config_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed ConfigMap or Secret: some may not change."""
    causes = []
    if body.get("type") != old.get("type"):
        causes.append(invalid("type", body.get("type"), "field is immutable"))
    if old.get("immutable"):
        if not body.get("immutable"):
            causes.append(forbidden("immutable", _IMMUTABLE))
        for name in ("data", "binaryData"):
            if (body.get(name) or {}) != (old.get(name) or {}):
                causes.append(forbidden(name, _IMMUTABLE))
    return causes


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _check_keys(path: str, data: Body) -> list[Cause]:
    causes = []
    for key in data:
        if len(key) > 253:
            causes.append(invalid(f"{path}[{key}]", key, "must be no more than 253 characters"))
        elif not _KEY.fullmatch(key) or key in {".", ".."} or key.startswith(".."):
            causes.append(invalid(f"{path}[{key}]", key, _KEY_ERROR))
    return causes


def _check_encoding(path: str, data: Body) -> list[Cause]:
    causes = []
    for key, value in data.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            # The value itself may be a secret and is not repeated.
            causes.append(Cause("FieldValueInvalid", "Invalid value: illegal base64 data", f"{path}[{key}]"))
    return causes
