"""Rows of the ``admissionregistration.k8s.io`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.admission import default_admission_binding, default_admission_policy
from cloudcore.apiserver.defaults.policies import default_mutating_webhooks, default_webhooks
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.admission import check_admission_binding, check_admission_policy
from cloudcore.apiserver.validation.webhooks import check_webhooks

_SCHEMA: Final = "io.k8s.api.admissionregistration.v1."
_GROUP: Final = "admissionregistration.k8s.io"
_INERT: Final = "webhooks are not called by this server yet: the configuration is only stored"
_NO_POLICIES: Final = "admission policies are not evaluated by this server yet: the object is only stored"

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
    Kind(
        kind="ValidatingAdmissionPolicy",
        plural="validatingadmissionpolicies",
        group=_GROUP,
        schema=_SCHEMA + "ValidatingAdmissionPolicy",
        namespaced=False,
        categories=("api-extensions",),
        subresources=(status_of("ValidatingAdmissionPolicy", _GROUP),),
        status=True,
        first_status={},
        generation=True,
        inert=_NO_POLICIES,
        defaults=default_admission_policy,
        validate=check_admission_policy,
    ),
    Kind(
        kind="ValidatingAdmissionPolicyBinding",
        plural="validatingadmissionpolicybindings",
        group=_GROUP,
        schema=_SCHEMA + "ValidatingAdmissionPolicyBinding",
        namespaced=False,
        categories=("api-extensions",),
        generation=True,
        inert=_NO_POLICIES,
        defaults=default_admission_binding,
        validate=check_admission_binding,
    ),
)
