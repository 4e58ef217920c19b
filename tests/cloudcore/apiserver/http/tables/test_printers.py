from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.http.tables import column_definitions, printer_for, row
from protocol.objects.keys import Body

NOW = 1000.0
META = {"name": "x", "creationTimestamp": "1970-01-01T00:15:40Z"}


def cells(resource: str, **body: Any) -> dict[str, Any]:
    printed = row(resource, {"metadata": META, **body}, now=NOW)["cells"]
    return dict(zip([column["name"] for column in column_definitions(resource)], printed, strict=True))


TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}}


def test_an_unknown_kind_shows_name_and_age() -> None:
    assert cells("widgets.example.com") == {"Name": "x", "Age": "60s"}


def test_a_pod() -> None:
    spec = {"nodeName": "n", "containers": [{"name": "c"}], "readinessGates": [{"conditionType": "g"}]}
    status = {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "g", "status": "True"}]}
    shown = cells("pods", spec=spec, status=status)
    assert list(shown.values()) == ["x", "0/1", "Running", "0", "60s", "10.0.0.1", "n", "<none>", "1/1"]
    assert cells("pods")["IP"] == cells("pods")["Node"] == cells("pods")["Readiness Gates"] == "<none>"


def test_a_deployment() -> None:
    spec = {"replicas": 3, "template": TEMPLATE, "selector": {"matchLabels": {"b": "2", "a": "1"}}}
    status = {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}
    shown = cells("deployments.apps", spec=spec, status=status)
    assert list(shown.values()) == ["x", "1/3", 2, 1, "60s", "a,b", "i:1,j", "a=1,b=2"]


def test_admission_policies_and_api_services() -> None:
    group = "admissionregistration.k8s.io"
    policy = cells(f"validatingadmissionpolicies.{group}", spec={"validations": [{}, {}]})
    assert policy == {"Name": "x", "Validations": 2, "ParamKind": "<unset>", "Age": "60s"}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert cells(f"validatingadmissionpolicies.{group}", spec={"paramKind": kind})["ParamKind"] == "v1/ConfigMap"
    bindings = f"validatingadmissionpolicybindings.{group}"
    assert cells(bindings, spec={"policyName": "p"}) == {
        "Name": "x",
        "PolicyName": "p",
        "ParamRef": "<unset>",
        "Age": "60s",
    }
    assert cells(bindings, spec={"paramRef": {"name": "n", "namespace": "s"}})["ParamRef"] == "s/n"
    assert cells(bindings, spec={"paramRef": {"selector": {"matchLabels": {"a": "b"}}}})["ParamRef"] == "a=b"
    services = "apiservices.apiregistration.k8s.io"
    assert cells(services) == {"Name": "x", "Service": "Local", "Available": "Unknown", "Age": "60s"}
    failed = {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}
    shown = cells(services, spec={"service": {"namespace": "s", "name": "n"}}, status=failed)
    assert (shown["Service"], shown["Available"]) == ("s/n", "False (MissingEndpoints)")
    passed = {"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]}
    assert cells(services, status=passed)["Available"] == "True"


def test_a_scale_has_columns_of_its_own() -> None:
    shown = cells("scales.autoscaling", spec={"replicas": 3}, status={"replicas": 2})
    assert shown == {"Name": "x", "Desired": 3, "Available": 2, "Age": "60s"}


def test_replicas_default_to_one_and_may_be_none() -> None:
    assert cells("replicasets.apps")["Desired"] == 1
    assert cells("replicasets.apps", spec={"replicas": 0})["Desired"] == 0


def test_selectors_are_shown_with_their_expressions() -> None:
    expressions = [
        {"key": "t", "operator": "In", "values": ["b", "a"]},
        {"key": "u", "operator": "Exists"},
        {"key": "v", "operator": "DoesNotExist"},
    ]
    shown = cells("replicasets.apps", spec={"selector": {"matchExpressions": expressions}})
    assert shown["Selector"] == "t in (a,b),u,!v"


@pytest.mark.parametrize(
    ("status", "unschedulable", "shown"),
    [
        ([], False, "Unknown"),
        ([{"type": "Ready", "status": "True"}], False, "Ready"),
        ([{"type": "Ready", "status": "Unknown"}], False, "NotReady"),
        ([{"type": "Ready", "status": "True"}], True, "Ready,SchedulingDisabled"),
    ],
)
def test_a_nodes_status(status: list[Body], unschedulable: bool, shown: str) -> None:
    printed = cells("nodes", spec={"unschedulable": unschedulable}, status={"conditions": status})
    assert printed["Status"] == shown


def test_a_nodes_roles_and_addresses() -> None:
    metadata = {**META, "labels": {"node-role.kubernetes.io/edge": "", "kubernetes.io/role": "gateway"}}
    info = {"kubeletVersion": "v1", "osImage": "os", "kernelVersion": "6", "containerRuntimeVersion": "process://1"}
    status = {"nodeInfo": info, "addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]}
    shown = cells("nodes", metadata=metadata, status=status)
    assert shown["Roles"] == "edge,gateway"
    assert (shown["Internal-IP"], shown["External-IP"]) == ("10.0.0.2", "<none>")
    assert shown["Container-Runtime"] == "process://1"
    assert cells("nodes")["Roles"] == "<none>"


@pytest.mark.parametrize(
    ("spec", "status", "external"),
    [
        ({"type": "ClusterIP"}, {}, "<none>"),
        ({"type": "LoadBalancer"}, {}, "<pending>"),
        ({"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}, "1.1.1.1"),
        ({"type": "ExternalName", "externalName": "e.org"}, {}, "e.org"),
        ({"externalIPs": ["2.2.2.2", "3.3.3.3"]}, {}, "2.2.2.2,3.3.3.3"),
    ],
)
def test_a_services_external_address(spec: Body, status: Body, external: str) -> None:
    assert cells("services", spec=spec, status=status)["External-IP"] == external


def test_a_services_ports() -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    shown = cells("services", spec={"ports": ports, "clusterIP": "None"})
    assert (shown["Port(s)"], shown["Cluster-IP"]) == ("80:30080/TCP,53/UDP", "None")


def test_an_event_of_either_api() -> None:
    core = {
        "involvedObject": {"kind": "Pod", "name": "p"}, "lastTimestamp": "1970-01-01T00:16:30Z", "type": "Warning",
        "reason": "Failed", "message": "no \n", "source": {"component": "agent", "host": "n"}, "count": 3,
    }  # fmt: skip
    shown = cells("events", **core)
    assert [shown[name] for name in ("Last Seen", "Object", "Message", "Source", "Count")] == [
        "10s", "pod/p", "no", "agent, n", 3,
    ]  # fmt: skip
    newer = {"regarding": {"kind": "Node", "name": "n"}, "eventTime": "1970-01-01T00:16:30.000000Z", "note": "hello"}
    shown = cells("events.events.k8s.io", **newer)
    assert [shown[name] for name in ("Last Seen", "First Seen", "Object", "Message")] == [
        "10s", "10s", "node/n", "hello",
    ]  # fmt: skip


def test_secrets_show_how_much_but_not_what() -> None:
    shown = row("secrets", {"metadata": META, "type": "t", "data": {"k": "hidden"}}, now=NOW)
    assert shown["cells"] == ["x", "t", 1, "60s"]
    assert "hidden" not in str(shown)


def test_a_node_link() -> None:
    status = {
        "connected": True, "transport": "websocket", "rttMs": 12.34, "lagSeconds": 3.0, "pending": 7,
        "load": {"cpu": 0.25, "memory": 0.5}, "since": "1970-01-01T00:16:30Z", "address": "10.0.0.2:4",
    }  # fmt: skip
    shown = cells("nodelinks.edge.aiokubeedge.io", status=status)
    assert list(shown.values()) == [
        "x", "Connected", "12.3ms", "3s", 7, "25%", "50%", "10s", "websocket", "10.0.0.2:4",
    ]  # fmt: skip
    assert cells("nodelinks.edge.aiokubeedge.io")["Link"] == "Disconnected"


def test_a_node_sync() -> None:
    status = {
        "state": "Pending", "digest": {"equal": False, "edgeAsOf": "1970-01-01T00:16:37Z"}, "slice": {"objects": 12},
        "pendingTotal": 3, "lagSeconds": 5.0, "rejected": [{}], "since": "1970-01-01T00:16:30Z", "epoch": 7,
    }  # fmt: skip
    shown = cells("nodesyncs.edge.aiokubeedge.io", status=status)
    assert list(shown.values()) == ["x", "Pending", "Differs", 12, 3, "5s", 1, "10s", 7, "3s"]
    unseen = cells("nodesyncs.edge.aiokubeedge.io", status={"state": "Offline", "digest": {"equal": None}})
    assert (unseen["Digest"], unseen["Pending"], unseen["Oldest"]) == ("<unknown>", "<unknown>", "-")


def test_an_object_trace() -> None:
    acked = {"node": "a", "outcome": "applied", "acknowledged": "1970-01-01T00:16:30.025000Z"}
    status = {
        "state": "Recording",
        "versions": [
            {"version": "9", "committed": "1970-01-01T00:16:30.000000Z", "nodes": [acked, {"outcome": "pending"}]}
        ],
    }
    spec = {"resource": "configmaps", "namespace": "default", "name": "web"}
    shown = cells("objecttraces.edge.aiokubeedge.io", spec=spec, status=status)
    assert list(shown.values())[1:-1] == ["configmaps default/web", "Recording", "9", "1/2", "25.0ms", "<all>"]
    waiting = cells("objecttraces.edge.aiokubeedge.io", spec=spec, status={"state": "Waiting", "versions": []})
    assert (waiting["Version"], waiting["Nodes"], waiting["Slowest"]) == ("-", "0/0", "-")


@pytest.mark.parametrize(
    ("resource", "body", "column", "value"),
    [
        ("configmaps", {"data": {"a": "1"}, "binaryData": {"b": "2"}}, "Data", 2),
        ("serviceaccounts", {"secrets": [{}]}, "Secrets", 1),
        ("namespaces", {"status": {"phase": "Terminating"}}, "Status", "Terminating"),
        ("namespaces", {}, "Status", "Active"),
        ("leases.coordination.k8s.io", {"spec": {"holderIdentity": "h"}}, "Holder", "h"),
        ("runtimeclasses.node.k8s.io", {"handler": "process"}, "Handler", "process"),
        ("priorityclasses.scheduling.k8s.io", {"value": 7}, "Value", 7),
        ("statefulsets.apps", {"spec": {"replicas": 2}, "status": {"readyReplicas": 1}}, "Ready", "1/2"),
        ("daemonsets.apps", {"status": {"numberReady": 4}}, "Ready", 4),
        ("jobs.batch", {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, "Status", "Complete"),
        ("jobs.batch", {"spec": {"completions": 0}}, "Completions", "0/0"),
        ("jobs.batch", {"spec": {"parallelism": 3}, "status": {"succeeded": 1}}, "Completions", "1/1 of 3"),
        ("jobs.batch", {"status": {"startTime": "1970-01-01T00:16:30Z"}}, "Duration", "10s"),
        ("endpointslices.discovery.k8s.io", {"ports": [{"port": 80}]}, "Ports", "80"),
        (
            "endpoints",
            {"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}]},
            "Endpoints",
            "10.0.0.1,10.0.0.2",
        ),
    ],
)
def test_one_column_of_the_smaller_kinds(resource: str, body: Body, column: str, value: Any) -> None:
    assert cells(resource, **body)[column] == value


def test_endpoints_are_cut_short() -> None:
    endpoints = [{"addresses": [f"10.0.0.{n}"]} for n in range(5)]
    shown = cells("endpointslices.discovery.k8s.io", endpoints=endpoints)
    assert shown["Endpoints"] == "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more..."
    assert shown["Ports"] == "<unset>"


@pytest.mark.parametrize(("include", "kind"), [("Object", None), ("Metadata", "PartialObjectMetadata")])
def test_a_row_carries_what_was_asked_for(include: str, kind: str | None) -> None:
    shown = row("pods", {"metadata": META, "spec": {}}, now=NOW, include_object=include)
    assert shown["object"].get("kind") == kind
    assert ("spec" in shown["object"]) == (include == "Object")


def test_a_row_may_carry_nothing() -> None:
    assert row("pods", {"metadata": META}, now=NOW, include_object="None")["object"] is None


def test_wide_columns_have_priority_one() -> None:
    priorities = {column.name: column.priority for column in printer_for("pods").columns}
    assert priorities["Status"] == 0
    assert priorities["Node"] == 1


def test_what_is_used() -> None:
    node = cells("nodes.metrics.k8s.io", usage={"cpu": "250m", "memory": "1024Ki"}, window="10s")
    assert node == {"Name": "x", "CPU": "250m", "Memory": "1024Ki", "Window": "10s"}
    each = {"usage": {"cpu": "100m", "memory": "512Ki"}}
    pod = cells("pods.metrics.k8s.io", containers=[each, each], window="10s")
    assert pod == {"Name": "x", "CPU": "200m", "Memory": "1Mi", "Window": "10s"}
