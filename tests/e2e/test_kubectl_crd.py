"""An unmodified kubectl defines kinds of its own and works with their objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.demo.processes import Cloud
from tests.support.apiservers import RunningServer
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.e2e

CRONTABS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale:
        specReplicasPath: .spec.replicas
        statusReplicasPath: .status.replicas
        labelSelectorPath: .status.selector
    selectableFields: [{jsonPath: .spec.colour}]
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Colour, type: string, priority: 1, jsonPath: .spec.colour}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        description: A job at given times.
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, description: When it runs., pattern: '^[0-9*/ ]+$'}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
              colour: {type: string, enum: [red, blue]}
              port: {x-kubernetes-int-or-string: true}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status:
            type: object
            properties:
              replicas: {type: integer}
              selector: {type: string}
              conditions:
                type: array
                items:
                  type: object
                  properties: {type: {type: string}, status: {type: string}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
CRONTAB = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: mine}
spec: {cronSpec: "* * * * */5", colour: blue, port: http, free: {any: [1, {thing: true}]}}
"""


@pytest.fixture
async def kubectl(server: RunningServer, tmp_path: Path) -> Kubectl:
    kubectl = Kubectl(server.kubeconfig(), tmp_path)
    out = await kubectl.ok("apply", "-f", "-", stdin=CRONTABS)
    assert out == "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com created\n"
    return kubectl


async def test_a_definition_serves_its_kind_at_once(kubectl: Kubectl) -> None:
    await kubectl.ok("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=10s")
    listed = await kubectl.ok("api-resources", "--api-group=stable.example.com", "-o", "wide")
    assert "crontabs" in listed
    assert "ct" in listed
    assert "CronTab" in listed
    assert "all" in listed
    assert "crontabs.stable.example.com" in await kubectl.ok("get", "crd")


async def test_objects_are_created_shown_changed_and_deleted(kubectl: Kubectl) -> None:
    assert await kubectl.ok("apply", "-f", "-", stdin=CRONTAB) == "crontab.stable.example.com/mine created\n"
    heading, row = (await kubectl.ok("get", "ct")).splitlines()
    assert heading.split() == ["NAME", "SPEC", "REPLICAS", "READY", "AGE"]
    assert row.split()[:7] == ["mine", "*", "*", "*", "*", "*/5", "1"]
    assert "COLOUR" in await kubectl.ok("get", "crontab", "mine", "-o", "wide")
    assert "crontab.stable.example.com/mine" in await kubectl.ok("get", "all", "-o", "name")
    assert "configured" in await kubectl.ok("apply", "-f", "-", stdin=CRONTAB.replace("blue", "red"))
    await kubectl.ok("label", "ct", "mine", "a=b")
    await kubectl.ok("patch", "ct", "mine", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    body = await kubectl.json("get", "ct", "mine")
    assert body["spec"] == {
        "cronSpec": "* * * * */5",
        "colour": "red",
        "port": "http",
        "free": {"any": [1, {"thing": True}]},
        "replicas": 3,
    }
    assert body["metadata"]["labels"] == {"a": "b"}
    assert await kubectl.ok("delete", "ct", "mine") == 'crontab.stable.example.com "mine" deleted\n'


async def test_a_wrong_object_is_refused_in_kubernetes_words(kubectl: Kubectl) -> None:
    wrong = CRONTAB.replace("colour: blue", "colour: green, replicas: 0").replace('"* * * * */5"', "7")
    outcome = await kubectl.run("apply", "-f", "-", stdin=wrong)
    assert outcome.code == 1
    assert 'The CronTab "mine" is invalid:' in outcome.err
    assert 'spec.colour: Unsupported value: "green": supported values: "blue", "red"' in outcome.err
    assert "spec.replicas in body should be greater than or equal to 1" in outcome.err
    assert 'spec.cronSpec in body must be of type string: "integer"' in outcome.err


async def test_unknown_fields_are_refused_when_strict_and_dropped_when_not(kubectl: Kubectl) -> None:
    unknown = CRONTAB.replace("colour: blue", "colur: blue")
    outcome = await kubectl.run("apply", "-f", "-", stdin=unknown)
    assert outcome.code == 1
    assert 'strict decoding error: unknown field "spec.colur"' in outcome.err
    warned = await kubectl.run("apply", "--validate=warn", "-f", "-", stdin=unknown)
    assert 'unknown field "spec.colur"' in warned.err
    assert "colur" not in (await kubectl.json("get", "ct", "mine"))["spec"]


async def test_explain_reads_the_schema(kubectl: Kubectl) -> None:
    out = await kubectl.ok("explain", "crontab.spec")
    assert "GROUP:      stable.example.com" in out
    assert "When it runs." in out
    assert "-required-" in out
    assert "enum: red, blue" in out
    assert "<ObjectMeta>" in await kubectl.ok("explain", "ct")
    assert "openAPIV3Schema" in await kubectl.ok("explain", "crd.spec.versions.schema")


async def test_scale_status_and_field_selectors(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=CRONTAB)
    assert "scaled" in await kubectl.ok("scale", "--replicas=4", "ct/mine")
    body = await kubectl.json("get", "ct", "mine")
    assert (body["spec"]["replicas"], body["metadata"]["generation"]) == (4, 2)
    status = '{"status":{"replicas":4,"conditions":[{"type":"Ready","status":"True"}]},"spec":{"replicas":9}}'
    await kubectl.ok("patch", "ct", "mine", "--subresource=status", "--type=merge", "-p", status)
    body = await kubectl.json("get", "ct", "mine")
    assert (body["spec"]["replicas"], body["status"]["replicas"], body["metadata"]["generation"]) == (4, 4, 2)
    assert "True" in await kubectl.ok("get", "ct")
    assert "mine" in await kubectl.ok("get", "ct", "--field-selector=spec.colour=blue")
    assert "mine" not in await kubectl.ok("get", "ct", "--field-selector=spec.colour=red")
    refused = await kubectl.run("scale", "--replicas=40", "ct/mine")
    assert "should be less than or equal to 10" in refused.err


async def test_versions_differ_in_their_name_only(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=CRONTAB)
    older = await kubectl.json("get", "crontabs.v1beta1.stable.example.com", "mine")
    assert older["apiVersion"] == "stable.example.com/v1beta1"
    assert older["spec"]["colour"] == "blue"
    written = await kubectl.run(
        "apply", "-f", "-", stdin=CRONTAB.replace("example.com/v1", "example.com/v1beta1").replace("mine", "old")
    )
    assert "stable.example.com/v1beta1 CronTab is deprecated" in written.err
    assert (await kubectl.json("get", "ct", "old"))["apiVersion"] == "stable.example.com/v1"
    listed = await kubectl.json("get", "crontabs.v1beta1.stable.example.com")
    assert {item["apiVersion"] for item in listed["items"]} == {"stable.example.com/v1beta1"}


async def test_server_side_apply_knows_the_schema(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=CRONTAB)
    other = CRONTAB.replace("colour: blue", "colour: red")
    refused = await kubectl.run("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other)
    assert 'conflict with "one": .spec.colour' in refused.err
    await kubectl.ok("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=other)
    assert (await kubectl.json("get", "ct", "mine"))["spec"]["colour"] == "red"
    unknown = await kubectl.run(
        "apply", "--server-side", "--field-manager=one", "-f", "-", stdin=CRONTAB.replace("colour", "color")
    )
    assert ".spec.color: field not declared in schema" in unknown.err


EXAMPLE = Path(__file__).parents[2] / "examples" / "crd"


async def test_the_example_does_what_its_readme_says(server: RunningServer, tmp_path: Path) -> None:
    kubectl = Kubectl(server.kubeconfig(), tmp_path)
    await kubectl.ok("apply", "-f", str(EXAMPLE / "definition.yaml"))
    await kubectl.ok("apply", "-f", str(EXAMPLE / "policy.yaml"))
    heading, row = (await kubectl.ok("get", "secpol", "-o", "wide")).splitlines()
    assert heading.split() == ["NAME", "ACTION", "FROM", "PORTS", "AUDITED", "AGE"]
    assert row.split()[:5] == ["cameras", "Allow", "10.20.0.0/16", "[554,8554]", "true"]
    assert "Where it comes from" in await kubectl.ok("explain", "secpol.spec")
    refused = {
        '{"spec":{"from":"everywhere"}}': 'spec.from in body must be of type cidr: "everywhere"',
        '{"spec":{"from":"0.0.0.0/0"}}': 'spec: Invalid value: "object": traffic may be allowed from no more than a /8',
        '{"spec":{"audit":false}}': 'spec: Invalid value: "object": an audit that has begun goes on',
        '{"spec":{"firstPort":9,"lastPort":8}}': 'spec.firstPort: Invalid value: "object": firstPort 9 is behind '
        "lastPort 8",
        '{"spec":{"ports":[1,1]}}': "spec.ports[1]: Duplicate value: 1",
    }
    for patch, message in refused.items():
        outcome = await kubectl.run("patch", "secpol", "cameras", "--type=merge", "-p", patch)
        assert outcome.code == 1
        assert message in outcome.err
    assert "patched" in await kubectl.ok("patch", "secpol", "cameras", "--type=merge", "-p", '{"spec":{"ports":[80]}}')


async def test_a_definition_with_a_wrong_schema_is_refused(server: RunningServer, tmp_path: Path) -> None:
    kubectl = Kubectl(server.kubeconfig(), tmp_path)
    wrong = CRONTABS.replace("pattern: '^[0-9*/ ]+$'", "pattern: '('").replace("type: integer, minimum", "minimum")
    outcome = await kubectl.run("apply", "-f", "-", stdin=wrong)
    assert outcome.code == 1
    where = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties"
    assert f"{where}[cronSpec].pattern: Invalid value" in outcome.err
    assert f"{where}[replicas].type: Required value: must not be empty for specified object fields" in outcome.err
    assert (await kubectl.run("get", "crd", "crontabs.stable.example.com")).code == 1


async def test_custom_kinds_outlive_a_killed_cloud_and_go_with_their_definition(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    try:
        await cloud.start()
        kubectl = Kubectl(cloud.kubeconfig, tmp_path)
        await kubectl.ok("apply", "-f", str(EXAMPLE / "definition.yaml"))
        await kubectl.ok("apply", "-f", str(EXAMPLE / "policy.yaml"))
        await cloud.daemon.kill()
        await cloud.start()
        assert "cameras" in await kubectl.ok("get", "secpol")
        refused = await kubectl.run("patch", "secpol", "cameras", "--type=merge", "-p", '{"spec":{"audit":false}}')
        assert "an audit that has begun goes on" in refused.err
        await kubectl.ok("delete", "crd", "networkpolicies.security.example.com", "--timeout=30s")
        assert (await kubectl.run("get", "networkpolicies.security.example.com")).code == 1
        await kubectl.ok("apply", "-f", str(EXAMPLE / "definition.yaml"))
        assert await kubectl.ok("get", "secpol", "-o", "name") == ""
    finally:
        await cloud.daemon.stop()
