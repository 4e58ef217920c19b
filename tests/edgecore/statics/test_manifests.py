"""From manifests to pods: what is filled in, what is refused, and whose uid they have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecore.pods.containers import containers_of
from edgecore.pods.containerspec import sandbox
from edgecore.statics.documents import MAX_FILE_BYTES, ManifestError, read_pods
from edgecore.statics.manifests import static_pod
from edgecore.statics.shapes import POD
from protocol.objects.keys import Body, NodeName
from protocol.objects.mirrors import is_mirror, is_static
from protocol.objects.qos import qos_class
from tests.support.examples import trying

N1 = NodeName("n1")
YAML = b"""
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: factory, uid: mine, labels: {app: web}}
spec:
  containers:
  - name: c
    image: nginx
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 1}}
    livenessProbe: {httpGet: {port: 80}}
---
---
apiVersion: v1
kind: PodList
items:
- metadata: {name: second}
  spec: {containers: [{name: c, image: "i:1"}], hostNetwork: null}
"""


def manifest(**spec: Any) -> Body:
    whole = {"containers": [{"name": "c", "image": "i"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": whole}


def pod_of(body: Body, *, node: NodeName = N1, path: str = "/m/a.yaml", seen: str = "2026-01-01T00:00:00Z") -> Body:
    return static_pod(body, node=node, path=path, seen=seen)


def test_several_documents_and_lists_are_read() -> None:
    first, second = map(pod_of, read_pods("a.yaml", YAML))
    assert (first["metadata"]["name"], first["metadata"]["namespace"]) == ("web-n1", "factory")
    assert (second["metadata"]["name"], second["metadata"]["namespace"]) == ("second-n1", "default")
    assert "hostNetwork" not in second["spec"]


def test_a_pod_is_filled_in_as_the_api_would() -> None:
    pod = pod_of(read_pods("a.yaml", YAML)[0])
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"], spec["dnsPolicy"]) == (
        "Always",
        30,
        "ClusterFirst",
    )
    assert spec["nodeName"] == "n1"
    assert container["imagePullPolicy"] == "Always"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": 1}
    assert container["livenessProbe"]["periodSeconds"] == 10
    assert {"operator": "Exists", "effect": "NoExecute"} in spec["tolerations"]
    annotations = pod["metadata"]["annotations"]
    assert annotations["kubernetes.io/config.source"] == "file"
    assert annotations["kubernetes.io/config.hash"] == pod["metadata"]["uid"]
    assert is_static(pod)
    assert not is_mirror(pod)


def test_a_uid_hangs_on_content_file_and_node_alone() -> None:
    uid = pod_of(manifest())["metadata"]["uid"]
    assert pod_of(manifest(), seen="2027-01-01T00:00:00Z")["metadata"]["uid"] == uid
    assert pod_of({**manifest(), "status": {"phase": "Failed"}})["metadata"]["uid"] == uid
    others = [
        pod_of(manifest(hostNetwork=True)),
        pod_of(manifest(), node=NodeName("n2")),
        pod_of(manifest(), path="/m/b.yaml"),
    ]
    assert len({uid, *(pod["metadata"]["uid"] for pod in others)}) == 4


def test_a_mirrors_annotation_in_a_file_is_not_heeded() -> None:
    body = manifest()
    body["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x", "mine": "y"}
    pod = pod_of(body)
    assert not is_mirror(pod)
    assert pod["metadata"]["annotations"]["mine"] == "y"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": []}, "spec.containers: must have one at least"),
        ({"containers": "c"}, "spec.containers: must be a list"),
        ({"containers": [{"name": "C", "image": "i"}]}, r"spec.containers\[0\].name: must be small letters"),
        ({"containers": [{"image": "i"}]}, "each needs a name"),
        ({"containers": [{"name": "c"}, {"name": "c"}]}, 'several named "c"'),
        ({"containers": [{"name": "c", "command": "sh"}]}, r"containers\[0\].command: must be a list"),
        ({"containers": [{"name": "c", "ports": [{"containerPort": "80"}]}]}, "containerPort: must be a whole number"),
        ({"containers": [{"name": "c", "env": [{"name": "A", "value": 1}]}]}, r"env\[0\].value: must be text"),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "lots"}}}]}, "limits: must be an object whose"),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "-1"}}}]}, "limits: must be an object whose"),
        ({"containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}, 'no volume "v"'),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy: must be one of"),
        ({"nodeName": "n2"}, "it is for node n2, this is n1"),
        ({"priorityClassName": "mine"}, "static pods can have system-node-critical"),
        ({"priority": 5}, "spec.priority: must be 0"),
        ({"serviceAccountName": "default"}, 'may not name objects of the API: ServiceAccount "default"'),
        ({"imagePullSecrets": [{"name": "s"}]}, 'Secret "s"'),
        ({"volumes": [{"name": "v", "configMap": {"name": "m"}}]}, 'ConfigMap "m"'),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "p"}}]}, 'PersistentVolumeClaim "p"'),
        ({"securityContext": {"runAsUser": 1 << 31}}, "runAsUser: must be a whole number from 0 to 2147483647"),
        ({"securityContext": {"fsGroup": 1 << 31}}, "fsGroup: must be a whole number from 0 to 2147483647"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, 'several named "v"'),
    ],
)
def test_what_cannot_run_is_refused_with_a_reason(spec: Body, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as refusal:
        pod_of(manifest(**spec))
    assert "\n" not in str(refusal.value)


def test_the_critical_classes_are_known() -> None:
    assert pod_of(manifest(priorityClassName="system-node-critical"))["spec"]["priority"] == 2_000_001_000


def test_a_name_that_gets_too_long_with_the_nodes_is_refused() -> None:
    body = manifest()
    body["metadata"]["name"] = "a" * 251
    with pytest.raises(ManifestError, match="254 characters"):
        pod_of(body)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{n}: &{n} [{','.join(['*' + p] * 9)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
)

MERGES = "a: &a {k: v}\n" + "".join(
    f"{n}: &{n} {{<<: [{','.join(['*' + p] * 9)}]}}\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "not JSON"),
        ("a.json", b'{"a": NaN}', "not JSON"),
        ("a.json", b'{"a": "\\ud800"}', "not Unicode"),
        ("a.json", b'{"a": 99999999999999999999}', "larger than any"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.yaml", b"a: [", "not YAML: line 2"),
        ("a.yaml", b"a: !!python/object/apply:os.system [id]", "not YAML"),
        ("a.yaml", b"a: 2026-01-01", "in quotes"),
        ("a.yaml", b"1: 2", "a field's name is not text"),
        ("a.yaml", b"a: .nan", "not finite"),
        ("a.yaml", BOMB.encode(), "larger, or nested deeper"),
        ("a.yaml", b"&a [*a]", "larger, or nested deeper"),
        # These two would end the process, or take all its memory, before there were any values to count.
        ("a.yaml", b"[" * 500_000, "larger, or nested deeper"),
        ("a.yaml", MERGES.encode(), "larger, or nested deeper"),
        ("a.yaml", b"a: 1" + b":59" * 300_000, "larger than any"),
        ("a.yaml", b"a: 1" + b":59" * 1_000 + b".5", "larger than any"),
        ("a.yaml", b"\xff\xfe\x00", "not UTF-8"),
        ("a.yaml", b"x" * (MAX_FILE_BYTES + 1), "at most"),
        ("a.yaml", b"- just\n- a list", "not an object"),
        ("a.yaml", b"{apiVersion: apps/v1, kind: Deployment}", "apps/v1 Deployment is no Pod"),
        ("a.yaml", b"{apiVersion: v1, kind: List, items: [7]}", "not an object"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_in_a_line(name: str, content: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as refusal:
        read_pods(name, content)
    assert "\n" not in str(refusal.value)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.json", "a.yaml"]))
def test_whatever_lies_there_is_read_or_refused(content: bytes, name: str) -> None:
    try:
        read_pods(name, content)
    except ManifestError:
        return


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70_000)
    | st.text(max_size=5)
    | st.sampled_from(["c", "100m", "v", "TCP"]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=3), below, max_size=2),
    max_leaves=4,
)
_CONTAINER_FIELDS = st.sampled_from(sorted(POD["spec"]["containers"][0]))
_CONTAINERS = st.dictionaries(_CONTAINER_FIELDS, _VALUES, max_size=3).map(
    lambda extra: {"name": "c", "image": "i", **extra}
)


@trying(300)
@given(
    st.dictionaries(st.sampled_from(sorted(POD["spec"])), _VALUES, max_size=3),
    st.lists(_CONTAINERS, min_size=1, max_size=1),
)
def test_what_is_taken_is_what_the_agent_can_work_with(spec: Body, containers: list[Body]) -> None:
    body = manifest(**{**spec, "containers": containers})
    body = json.loads(json.dumps(body))
    try:
        pod = pod_of(body)
    except ManifestError:
        return
    assert containers_of(pod)
    assert sandbox(pod).name == "web-n1"
    assert qos_class(pod)
