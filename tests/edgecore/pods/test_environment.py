from __future__ import annotations

import base64

import pytest

from edgecore.pods.environment import User, command, environment, expand, user
from edgecore.pods.runtimes.base import StartRefused
from edgecore.pods.sources import PodSources, ReferenceMissing
from protocol.objects.keys import Body
from tests.support.pods import FakeDesired, a_pod


def sources(pod: Body) -> PodSources:
    desired = FakeDesired()
    desired.put("configmaps", {"metadata": {"namespace": "default", "name": "cm"}, "data": {"a": "1", "b": "2"}})
    secret = {"password": base64.b64encode(b"hunter2").decode()}
    desired.put("secrets", {"metadata": {"namespace": "default", "name": "s"}, "data": secret})
    return PodSources(pod, desired, "edge-1", "10.0.0.7")


def variables(*env: Body, env_from: list[Body] | None = None, pod: Body | None = None) -> dict[str, str]:
    pod = pod or a_pod()
    container = {**pod["spec"]["containers"][0], "env": list(env), "envFrom": env_from or []}
    return environment(pod, container, sources(pod))


def test_the_host_name_is_the_pods() -> None:
    assert variables() == {"HOSTNAME": "web"}
    assert variables(pod=a_pod(hostname="other")) == {"HOSTNAME": "other"}


def test_later_sources_win_over_earlier_and_env_over_env_from() -> None:
    found = variables(
        {"name": "a", "value": "own"},
        env_from=[{"configMapRef": {"name": "cm"}}, {"prefix": "S_", "secretRef": {"name": "s"}}],
    )
    assert found == {"HOSTNAME": "web", "a": "own", "b": "2", "S_password": "hunter2"}


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"configMapKeyRef": {"name": "cm", "key": "b"}}, "2"),
        ({"secretKeyRef": {"name": "s", "key": "password"}}, "hunter2"),
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "web"),
        ({"fieldRef": {"fieldPath": "metadata.uid"}}, "u1"),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "x"),
        ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "edge-1"),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "10.0.0.7"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "1"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "64"),
    ],
)
def test_values_from_elsewhere(origin: Body, expected: str) -> None:
    limits = {"limits": {"cpu": "300m", "memory": "64Mi"}}
    pod = a_pod(containers=[{"name": "main", "image": "i", "resources": limits}])
    pod["metadata"]["labels"] = {"app": "x"}
    assert variables({"name": "V", "valueFrom": origin}, pod=pod)["V"] == expected


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "b"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "cm", "key": "c"}}, 'key "c" not found in configmap "cm"'),
        ({"secretKeyRef": {"name": "none", "key": "b"}}, 'secret "none" not found'),
        ({"fieldRef": {"fieldPath": "spec.nothing"}}, "spec.nothing"),
    ],
)
def test_what_is_missing_is_named(origin: Body, message: str) -> None:
    with pytest.raises(ReferenceMissing, match=message):
        variables({"name": "V", "valueFrom": origin})


def test_what_is_missing_and_optional_is_left_out() -> None:
    optional = {"configMapKeyRef": {"name": "none", "key": "b", "optional": True}}
    found = variables({"name": "V", "valueFrom": optional}, env_from=[{"secretRef": {"name": "no", "optional": True}}])
    assert found == {"HOSTNAME": "web"}


def test_a_missing_bulk_source_is_named() -> None:
    with pytest.raises(ReferenceMissing, match='secret "no" not found'):
        variables(env_from=[{"secretRef": {"name": "no"}}])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-$(B)", "1-$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_a_variable_sees_those_before_it_only() -> None:
    found = variables({"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C", "value": "3"})
    assert found["B"] == "1$(C)"


def test_command_and_arguments_are_expanded() -> None:
    container = {"command": ["run", "$(X)"], "args": ["--y=$(X)"]}
    assert command(container, {"X": "1"}) == ("run", "1", "--y=1")


def test_arguments_alone_are_no_command() -> None:
    assert command({"args": ["x"]}, {}) == ()


def test_the_containers_own_user_wins() -> None:
    pod = a_pod(securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]})
    assert user(pod, {"securityContext": {"runAsUser": 9}}) == User(9, 2, (4, 3))
    assert user(a_pod(), {}) == User(None, None, ())


def test_what_must_not_be_root_is_refused_user_0() -> None:
    with pytest.raises(StartRefused, match="runAsNonRoot"):
        user(a_pod(securityContext={"runAsNonRoot": True, "runAsUser": 0}), {})
    assert user(a_pod(securityContext={"runAsNonRoot": True}), {}).user is None  # The runtime knows the image's.
    assert user(a_pod(securityContext={"runAsNonRoot": True, "runAsUser": 5}), {}).user == 5
