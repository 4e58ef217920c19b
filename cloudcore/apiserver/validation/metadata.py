"""Rules of ``metadata``: names, labels, annotations, owner references, finalizers.

Source: Kubernetes "Object Names and IDs" (RFC 1123, RFC 1035), "Labels and Selectors", ``ValidateObjectMeta``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, required, too_long
from cloudcore.errors import Cause
from protocol.objects.selectors import is_label_key, is_label_value

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS_LABEL: Final = re.compile(_LABEL)
_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_ANNOTATIONS_LIMIT_BYTES: Final = 256 * 1024

_SUBDOMAIN_ERROR: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_ERROR: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_DNS_1035_ERROR: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_KEY_ERROR: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_ERROR: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

_NAME_RULES: Final = {
    "subdomain": (_SUBDOMAIN, 253, _SUBDOMAIN_ERROR),
    "label": (_DNS_LABEL, 63, _LABEL_ERROR),
    "service": (_DNS_1035, 63, _DNS_1035_ERROR),
}


def check_metadata(name_rule: str, metadata: Mapping[str, Any]) -> list[Cause]:
    """Return what is wrong with an object's metadata."""
    name = metadata.get("name", "")
    if not name:
        causes = [required("metadata.name", "name or generateName is required")]
    else:
        causes = check_name(name_rule, "metadata.name", name)
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    if labels:
        causes += check_labels("metadata.labels", labels)
    if annotations:
        causes += _check_annotations(annotations)
    if metadata.get("finalizers"):
        causes += _check_finalizers(metadata["finalizers"])
    if metadata.get("ownerReferences"):
        causes += _check_owners(metadata["ownerReferences"])
    return causes


def check_metadata_update(name_rule: str, metadata: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """Return what is wrong with changed metadata."""
    causes = check_metadata(name_rule, metadata)
    if metadata.get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or ()) - set(old.get("finalizers") or ())
        if added:
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
            causes.append(forbidden("metadata.finalizers", why))
    return causes


def check_name(rule: str, path: str, name: str) -> list[Cause]:
    """Return what is wrong with a name under one of the rules ``subdomain``, ``label``, ``service``, ``path``."""
    if rule == "path":
        bad = name in {".", ".."} or "/" in name or "%" in name
        return [invalid(path, name, "may not be '.' or '..', nor contain '/' or '%'")] if bad else []
    pattern, limit, error = _NAME_RULES[rule]
    if len(name) > limit:
        return [invalid(path, name, f"must be no more than {limit} characters")]
    return [] if pattern.fullmatch(name) else [invalid(path, name, error)]


def check_labels(path: str, labels: Mapping[str, str]) -> list[Cause]:
    """Return what is wrong with a map of labels."""
    causes = [invalid(path, key, _LABEL_KEY_ERROR) for key in labels if not is_label_key(key)]
    return causes + [invalid(path, value, _LABEL_VALUE_ERROR) for value in labels.values() if not is_label_value(value)]


def _check_annotations(annotations: Mapping[str, str]) -> list[Cause]:
    path = "metadata.annotations"
    causes = [invalid(path, key, _LABEL_KEY_ERROR) for key in annotations if not is_label_key(key.lower())]
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT_BYTES:
        causes.append(too_long(path, _ANNOTATIONS_LIMIT_BYTES))
    return causes


def _check_finalizers(finalizers: list[str]) -> list[Cause]:
    path = "metadata.finalizers"
    causes = [invalid(path, name, _LABEL_KEY_ERROR) for name in finalizers if not is_label_key(name)]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        causes.append(invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"))
    return causes


def _check_owners(owners: list[dict[str, Any]]) -> list[Cause]:
    causes = []
    for index, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{index}]"
        causes += [
            invalid(f"{path}.{name}", owner.get(name, ""), f"{name} must not be empty")
            for name in ("apiVersion", "kind", "name", "uid")
            if not owner.get(name)
        ]
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        causes.append(invalid("metadata.ownerReferences", owners, "Only one reference can have Controller set to true"))
    return causes
