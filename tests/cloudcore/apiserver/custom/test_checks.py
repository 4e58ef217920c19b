from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.checks import check_definition, check_definition_update, default_definition
from protocol.objects.keys import Body
from tests.support.definitions import a_definition, a_version


def defaulted(body: Body) -> Body:
    default_definition(body)
    return body


def test_names_and_conversion_are_filled_in() -> None:
    spec = defaulted(a_definition())["spec"]
    assert spec["names"] == {
        "plural": "crontabs",
        "singular": "crontab",
        "kind": "CronTab",
        "listKind": "CronTabList",
        "shortNames": ["ct"],
    }
    assert spec["conversion"] == {"strategy": "None"}


def test_an_ordinary_definition_is_right() -> None:
    assert check_definition(defaulted(a_definition())) == []


def version(**more: Any) -> Body:
    spec = {
        "type": "object",
        "properties": {"replicas": {"type": "integer"}, "list": {"type": "array", "items": {"type": "string"}}},
    }
    return a_definition(a_version(spec=spec, **more))


V0 = "spec.versions[0]"
SCHEMA = f"{V0}.schema.openAPIV3Schema"


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (
            {**a_definition(), "metadata": {"name": "other.stable.example.com"}},
            "metadata.name",
            'Invalid value: "other.stable.example.com": must be spec.names.plural+"."+spec.group',
        ),
        (a_definition(scope="Galactic"), "spec.scope", 'Unsupported value: "Galactic"'),
        (
            a_definition(names={"plural": "CronTabs"}),
            "spec.names.plural",
            'Invalid value: "CronTabs": a DNS-1035 label',
        ),
        (a_definition(names={"kind": "Cron Tab"}), "spec.names.kind", 'Invalid value: "Cron Tab": may have mixed case'),
        (a_definition(names={"shortNames": ["C T"]}), "spec.names.shortNames[0]", 'Invalid value: "C T"'),
        (a_definition(names={"categories": ["?"]}), "spec.names.categories[0]", 'Invalid value: "?"'),
        (
            a_definition(names={"listKind": "CronTab"}),
            "spec.names.listKind",
            'Invalid value: "CronTab": kind and listKind may not be the same',
        ),
        (
            a_definition(a_version("v1"), a_version("v2")),
            "spec.versions",
            'Invalid value: ["v1","v2"]: must have exactly one version marked as storage version',
        ),
        (
            a_definition(a_version("v1", storage=False)),
            "spec.versions",
            'Invalid value: ["v1"]: must have exactly one version marked as storage version',
        ),
        (
            a_definition(a_version("v1"), a_version("v1", storage=False)),
            "spec.versions",
            'Invalid value: ["v1","v1"]: must contain unique version names',
        ),
        (a_definition(a_version("1")), f"{V0}.name", 'Invalid value: "1": a DNS-1035 label'),
        (
            a_definition({"name": "v1", "served": True, "storage": True}),
            SCHEMA,
            "Required value: schemas are required",
        ),
        (
            version(subresources={"scale": {"specReplicasPath": ".status.x", "statusReplicasPath": ""}}),
            f"{V0}.subresources.scale.specReplicasPath",
            'Invalid value: ".status.x": should be a json path under .spec',
        ),
        (
            version(subresources={"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ""}}),
            f"{V0}.subresources.scale.statusReplicasPath",
            "Required value",
        ),
        (
            version(additionalPrinterColumns=[{"name": "A", "type": "colour", "jsonPath": ".spec"}]),
            f"{V0}.additionalPrinterColumns[0].type",
            'Unsupported value: "colour"',
        ),
        (
            version(additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": "spec"}]),
            f"{V0}.additionalPrinterColumns[0].jsonPath",
            'Invalid value: "spec": must be a simple json path starting with .',
        ),
        (
            version(selectableFields=[{"jsonPath": ".spec.nosuch"}]),
            f"{V0}.selectableFields[0].jsonPath",
            'Invalid value: ".spec.nosuch": is an invalid path: does not refer to a valid field',
        ),
        (
            version(selectableFields=[{"jsonPath": ".spec.list"}]),
            f"{V0}.selectableFields[0].jsonPath",
            'Invalid value: ".spec.list": must point to a field of type string, boolean or integer',
        ),
        (
            version(selectableFields=[{"jsonPath": ".spec.replicas"}] * 9),
            f"{V0}.selectableFields",
            "Too many: 9: must have at most 8 items",
        ),
        (
            a_definition(a_version(spec={"type": "integer", "default": "x"})),
            f"{SCHEMA}.properties[spec].default",
            'Invalid value: "string": <nil> in body must be of type integer: "string"',
        ),
        (
            a_definition(a_version(spec={"type": "object", "default": {"a": 1}})),
            f"{SCHEMA}.properties[spec].default.a",
            'Invalid value: {"a":1}: must not have unknown fields',
        ),
        (
            a_definition(a_version(schema={"type": "object", "default": {}})),
            f"{SCHEMA}.default",
            "Forbidden: must not be set at the root",
        ),
        (
            a_definition(a_version(spec={"type": "object", "x-kubernetes-validations": [{"rule": "nosuch"}]})),
            f"{SCHEMA}.properties[spec].x-kubernetes-validations[0].rule",
            'Invalid value: "nosuch": compilation failed: ERROR: <input>:1:1: undeclared reference',
        ),
    ],
)
def test_what_is_wrong_with_a_definition_is_told(body: Body, field: str, message: str) -> None:
    found = {cause.field: cause.message for cause in check_definition(defaulted(body))}
    assert found.get(field, str(found)).startswith(message)


@pytest.mark.parametrize("group", ["", "nodots", "-bad-.example.com"])
def test_groups_are_domains(group: str) -> None:
    body = a_definition()
    body["spec"]["group"] = group
    assert "spec.group" in {cause.field for cause in check_definition(defaulted(body))}


def test_protected_groups_need_an_approval() -> None:
    body = a_definition()
    body["spec"]["group"] = "things.k8s.io"
    body["metadata"]["name"] = "crontabs.things.k8s.io"
    [cause] = check_definition(defaulted(body))
    assert cause.field == "metadata.annotations[api-approved.kubernetes.io]"
    body["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, experimental-only"}
    assert check_definition(body) == []


def test_the_old_way_to_keep_unknown_fields_is_refused() -> None:
    body = defaulted(a_definition())
    body["spec"]["preserveUnknownFields"] = True
    assert [cause.field for cause in check_definition(body)] == ["spec.preserveUnknownFields"]


def test_what_objects_rest_on_does_not_change() -> None:
    old = defaulted(a_definition())
    old["status"] = {"conditions": [{"type": "Established", "status": "True"}], "storedVersions": ["v1"]}
    new = defaulted(a_definition(a_version("v2"), scope="Cluster", names={"kind": "Other", "plural": "others"}))
    new["spec"]["group"] = "other.example.com"
    assert {cause.field for cause in check_definition_update(new, old)} == {
        "spec.group",
        "spec.names.plural",
        "spec.names.kind",
        "spec.scope",
        "status.storedVersions[0]",
    }


def test_before_it_is_established_scope_and_kind_may_change() -> None:
    old, new = defaulted(a_definition()), defaulted(a_definition(scope="Cluster", names={"kind": "Other"}))
    assert check_definition_update(new, old) == []
