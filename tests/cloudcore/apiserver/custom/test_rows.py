from __future__ import annotations

from cloudcore.apiserver.custom.names import status_of_names
from cloudcore.apiserver.custom.rows import rows_of, stability
from cloudcore.apiserver.kinds.kind import Kind
from protocol.objects.keys import Body
from tests.support.definitions import a_definition, a_version


def made(body: Body) -> tuple[Kind, ...]:
    body["status"] = status_of_names(body, [], "now")
    return rows_of(body)


def test_versions_rank_as_kubernetes_ranks_them() -> None:
    names = ["v1", "v10", "v2", "v1beta1", "v2beta1", "v1alpha1", "foo", "v11alpha2"]
    ranked = ["v10", "v2", "v1", "v2beta1", "v1beta1", "v11alpha2", "v1alpha1", "foo"]
    assert sorted(names, key=stability, reverse=True) == ranked


def test_a_row_has_what_the_definition_says() -> None:
    version = a_version(
        subresources={"status": {}, "scale": {"specReplicasPath": ".spec.r", "statusReplicasPath": ".status.r"}},
        selectableFields=[{"jsonPath": ".spec.colour"}],
    )
    [row] = made(a_definition(version, scope="Cluster", names={"categories": ["all"]}))
    assert (row.kind, row.plural, row.singular, row.list_kind) == ("CronTab", "crontabs", "crontab", "CronTabList")
    assert (row.api_version, row.resource) == ("stable.example.com/v1", "crontabs.stable.example.com")
    assert (row.namespaced, row.short_names, row.categories) == (False, ("ct",), ("all",))
    assert (row.status, [sub.name for sub in row.subresources]) == (True, ["status", "scale"])
    assert dict(row.fields) == {"spec.colour": ""}


def test_versions_are_kept_as_one_and_served_as_many() -> None:
    unserved = {**a_version("v1alpha1", storage=False), "served": False}
    first, second = made(a_definition(unserved, a_version("v1beta1"), a_version("v1", storage=False)))
    assert (first.version, second.version) == ("v1", "v1beta1")
    assert first.stored is second
    assert first.conversion is not None
    body = {"kind": "CronTab", "apiVersion": "stable.example.com/v1beta1"}
    assert first.conversion.outward(body)["apiVersion"] == "stable.example.com/v1"
    assert first.conversion.inward(first.conversion.outward(body)) == body
    assert first.conversion.outward({"kind": "Scale", "apiVersion": "autoscaling/v1"})["apiVersion"] == "autoscaling/v1"


def test_the_kept_version_need_not_be_served() -> None:
    rows = made(a_definition({**a_version("v1"), "served": False}, a_version("v2", storage=False)))
    assert [(row.version, row.served) for row in rows] == [("v2", True), ("v1", False)]


def test_a_definition_that_goes_takes_no_new_objects() -> None:
    [row] = made(a_definition(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert "create" not in row.verbs
    assert "delete" in row.verbs


def test_a_deprecated_version_warns() -> None:
    plain, told = a_version(deprecated=True), a_version(deprecated=True, deprecationWarning="use another")
    assert made(a_definition(plain))[0].deprecation == "stable.example.com/v1 CronTab is deprecated"
    assert made(a_definition(told))[0].deprecation == "use another"
    assert made(a_definition())[0].deprecation == ""


def test_versions_that_ask_for_a_webhook_warn_that_none_is_called() -> None:
    body = a_definition(a_version("v2"), a_version("v1", storage=False))
    body["spec"]["conversion"] = {"strategy": "Webhook"}
    kept, converted = made(body)
    assert kept.deprecation == ""
    assert "conversion webhooks are not called yet" in converted.deprecation
