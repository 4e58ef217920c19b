from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.validation import fields

DEPLOYMENT = builtin_kinds().of("deployments.apps")


def test_one_error_is_worded_as_kubernetes_words_it() -> None:
    error = failures.invalid(DEPLOYMENT, "web", [fields.invalid("spec.replicas", -1, "must be greater")])
    assert error.message == 'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater'
    assert error.details == {"name": "web", "group": "apps", "kind": "Deployment"}


def test_several_errors_are_listed() -> None:
    causes = [fields.required("a"), fields.not_supported("b", "x", ["y", "z"]), fields.duplicate("c", "d")]
    message = failures.invalid(DEPLOYMENT, "web", causes).message
    assert message.endswith(
        'is invalid: [a: Required value, b: Unsupported value: "x": supported values: "y", "z", '
        'c: Duplicate value: "d"]'
    )
