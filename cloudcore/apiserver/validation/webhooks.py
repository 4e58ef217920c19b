"""Rules of webhook configurations.

Source: Kubernetes ``pkg/apis/admissionregistration/validation``.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from cloudcore.apiserver.validation.fields import duplicate, invalid, not_supported, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_OPERATIONS: Final = frozenset({"*", "CONNECT", "CREATE", "DELETE", "UPDATE"})
_SIDE_EFFECTS: Final = frozenset({"None", "NoneOnDryRun"})
_VERSIONS: Final = frozenset({"v1", "v1beta1"})
_POLICIES: Final = {
    "failurePolicy": frozenset({"Fail", "Ignore"}),
    "matchPolicy": frozenset({"Equivalent", "Exact"}),
}


def check_webhooks(body: Body) -> list[Cause]:
    """Return what is wrong with a webhook configuration."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, webhook in enumerate(body.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", webhook.get("name", "")
        causes += _check_webhook(path, webhook)
        if name in seen:
            causes.append(duplicate(f"{path}.name", name))
        seen.add(name)
    return causes


def _check_webhook(path: str, webhook: Body) -> list[Cause]:
    name = webhook.get("name", "")
    causes = check_name("subdomain", f"{path}.name", name) if name else [required(f"{path}.name")]
    if name and name.count(".") < 2:
        causes.append(
            invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
        )
    causes += one_of(f"{path}.sideEffects", webhook.get("sideEffects"), _SIDE_EFFECTS)
    for field, allowed in _POLICIES.items():
        causes += one_of(f"{path}.{field}", webhook.get(field), allowed)
    versions = webhook.get("admissionReviewVersions") or []
    if not versions:
        causes.append(required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1"))
    elif not _VERSIONS & set(versions):
        why = "must include at least one of v1, v1beta1"
        causes.append(invalid(f"{path}.admissionReviewVersions", versions, why))
    if not 1 <= webhook.get("timeoutSeconds", 1) <= 30:
        why = "the timeout value must be between 1 and 30 seconds"
        causes.append(invalid(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], why))
    for field in ("namespaceSelector", "objectSelector"):
        causes += check_label_selector(f"{path}.{field}", webhook.get(field) or {})
    for index, rule in enumerate(webhook.get("rules") or ()):
        causes += _check_rule(f"{path}.rules[{index}]", rule)
    return causes + _check_client(f"{path}.clientConfig", webhook.get("clientConfig") or {})


def _check_rule(path: str, rule: Body) -> list[Cause]:
    causes = [
        required(f"{path}.{name}")
        for name in ("operations", "apiGroups", "apiVersions", "resources")
        if not rule.get(name)
    ]
    return causes + [
        not_supported(f"{path}.operations[{index}]", operation, _OPERATIONS)
        for index, operation in enumerate(rule.get("operations") or ())
        if operation not in _OPERATIONS
    ]


def _check_client(path: str, client: Body) -> list[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if service is not None:
        return [required(f"{path}.service.{name}") for name in ("name", "namespace") if not service.get(name)]
    parts = urlsplit(str(url))
    if parts.scheme != "https":
        return [invalid(f"{path}.url", url, "'https' is the only allowed URL scheme")]
    return [] if parts.hostname else [invalid(f"{path}.url", url, "host must be specified")]
