from __future__ import annotations

from typing import Any

import pytest

from edgecore.pods.unsupported import unsupported
from protocol.objects.keys import Body
from protocol.objects.poddefaults import default_pod
from tests.support.pods import a_pod


def with_container(**fields: Any) -> Body:
    return a_pod(containers=[{"name": "main", "image": "i", "command": ["x"], **fields}])


def test_a_plain_pod_with_all_its_defaults_asks_for_nothing_special() -> None:
    pod = with_container(ports=[{"containerPort": 80}], resources={"requests": {"cpu": "1"}})
    pod["spec"]["volumes"] = [{"name": "scratch"}, {"name": "conf", "configMap": {"name": "c"}}]
    default_pod(pod)
    assert unsupported(pod) == ""


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"resources": {"limits": {"memory": "64Mi"}}}, "resources.limits"),
        ({"tty": True}, "tty"),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/m", "recursiveReadOnly": "Enabled"}]},
            "volumeMounts[v].recursiveReadOnly",
        ),
        ({"securityContext": {"privileged": True}}, "securityContext.privileged"),
        ({"securityContext": {"allowPrivilegeEscalation": False}}, "securityContext.allowPrivilegeEscalation"),
        ({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}, "securityContext.seccompProfile"),
    ],
)
@pytest.mark.parametrize("part", ["containers", "initContainers"])
def test_a_containers_field_is_named_with_its_container(part: str, fields: Body, named: str) -> None:
    pod = a_pod()
    pod["spec"][part] = [{"name": "one", "image": "i", "command": ["x"], **fields}]
    assert unsupported(pod) == f"this agent does not act on {part}[one].{named}"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}, "spec.hostAliases"),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"]}}, "spec.dnsPolicy, spec.dnsConfig"),
        ({"securityContext": {"sysctls": [{"name": "a", "value": "b"}]}}, "spec.securityContext.sysctls"),
    ],
)
def test_a_pods_field_is_named(fields: Body, named: str) -> None:
    assert unsupported(a_pod(**fields)) == f"this agent does not act on {named}"


@pytest.mark.parametrize(
    "fields",
    [
        {"lifecycle": {"preStop": {"exec": {"command": ["x"]}}, "stopSignal": "SIGUSR1"}},
        {"readinessProbe": {"tcpSocket": {"port": 80}}},
        {"terminationMessagePath": "/tmp/last", "terminationMessagePolicy": "FallbackToLogsOnError"},
        {"securityContext": {"privileged": False, "allowPrivilegeEscalation": True, "capabilities": {}}},
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        {"stdin": False, "resources": {"limits": {}}},
    ],
)
def test_values_that_ask_for_nothing(fields: Body) -> None:
    assert unsupported(with_container(**fields)) == ""


def test_a_long_list_is_cut() -> None:
    containers = [{"name": f"c{n}", "image": "i", "command": ["x"], "tty": True} for n in range(100)]
    assert len(unsupported(a_pod(containers=containers))) < 1024
