"""Rows of the ``admissionregistration.k8s.io`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.policies import default_mutating_webhooks, default_webhooks
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.webhooks import check_webhooks

_SCHEMA: Final = "io.k8s.api.admissionregistration.v1."
_GROUP: Final = "admissionregistration.k8s.io"
_INERT: Final = "webhooks are not called by this server yet: the configuration is only stored"

ROWS: Final = (
    Kind(
        kind="MutatingWebhookConfiguration",
        plural="mutatingwebhookconfigurations",
        group=_GROUP,
        schema=_SCHEMA + "MutatingWebhookConfiguration",
        namespaced=False,
        categories=("api-extensions",),
        generation=True,
        inert=_INERT,
        defaults=default_mutating_webhooks,
        validate=check_webhooks,
    ),
    Kind(
        kind="ValidatingWebhookConfiguration",
        plural="validatingwebhookconfigurations",
        group=_GROUP,
        schema=_SCHEMA + "ValidatingWebhookConfiguration",
        namespaced=False,
        categories=("api-extensions",),
        generation=True,
        inert=_INERT,
        defaults=default_webhooks,
        validate=check_webhooks,
    ),
)
