from __future__ import annotations

from typing import Any

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, Exit
from edgecore.pods.runtimes.docker import labels, states
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid

SPEC = ContainerSpec(ContainerId(Uid("u1"), "main", 2), "default", "web", "nginx:alpine", (), termination_from_log=True)
LABELS = labels.of_container(SPEC, owner="/var/lib/edgecore", image_id="docker://sha256:1", address="10.0.0.9")


def inspected(**state: Any) -> dict[str, Any]:
    base = {"Status": "running", "Running": True, "StartedAt": "2026-11-23T12:00:00.5Z"}
    return {"Id": "abc", "Config": {"Labels": LABELS}, "State": {**base, **state}}


def test_a_running_instance() -> None:
    found = states.state_of(inspected())
    assert found is not None
    assert (found.id, found.image, found.image_id) == (SPEC.id, "nginx:alpine", "docker://sha256:1")
    assert (found.runtime_id, found.address, found.exit) == ("docker://abc", "10.0.0.9", None)
    assert found.started_at == pytest.approx(1795435200.5)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"ExitCode": 0}, (0, 0, "Completed", "")),
        ({"ExitCode": 3}, (3, 0, "Error", "")),
        ({"ExitCode": 137}, (137, 9, "Error", "")),
        ({"ExitCode": 255}, (255, 0, "Error", "")),
        ({"ExitCode": 137, "OOMKilled": True}, (137, 9, "OOMKilled", "")),
        ({"ExitCode": 0, "OOMKilled": True}, (0, 0, "Completed", "")),
        ({"ExitCode": 126, "Error": "no such thing"}, (126, 0, "Error", "no such thing")),
    ],
)
def test_how_an_instance_ended(state: dict[str, Any], expected: tuple[int, int, str, str]) -> None:
    found = states.state_of(inspected(Running=False, Status="exited", FinishedAt="2026-11-23T12:00:01Z", **state))
    assert found is not None
    assert found.exit == Exit(1795435201.0, *expected)


def test_its_last_word_comes_before_dockers() -> None:
    found = states.state_of(inspected(Running=False, Status="exited", ExitCode=1, Error="x"), "own words")
    assert found is not None
    assert found.exit is not None
    assert found.exit.message == "own words"


@pytest.mark.parametrize("state", [{"Status": "created", "Running": False}, {"StartedAt": "0001-01-01T00:00:00Z"}])
def test_what_was_never_started_is_no_instance(state: dict[str, Any]) -> None:
    assert states.state_of(inspected(**state)) is None


def test_a_paused_instance_runs() -> None:
    assert states.is_running(inspected(Running=False, Paused=True))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        ("soon", 0.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert states.seconds(text) == pytest.approx(seconds, abs=1e-6)


def test_addresses() -> None:
    networks = {"NetworkSettings": {"Networks": {"a": {"IPAddress": ""}, "b": {"IPAddress": "10.1.1.1"}}}}
    assert states.address_of(networks) == "10.1.1.1"
    assert states.address_of({"NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}}) == ""


def test_the_digest_of_the_registry_names_an_image() -> None:
    assert states.image_id_of({"Id": "sha256:1", "RepoDigests": ["a@sha256:2"]}) == "docker-pullable://a@sha256:2"
    assert states.image_id_of({"Id": "sha256:1", "RepoDigests": []}) == "docker://sha256:1"


def test_labels_name_the_instance() -> None:
    assert labels.container_of(LABELS) == SPEC.id
    assert labels.name_of_container(SPEC) == "k8s_main_web_default_u1_2"
    sandbox = SandboxSpec(Uid("u1"), "default", "web")
    assert labels.name_of_sandbox(sandbox) == "k8s_POD_web_default_u1"
    assert labels.container_of(labels.of_sandbox(sandbox, owner="o")) is None


@pytest.mark.parametrize("changed", [{labels.ATTEMPT: "-1"}, {labels.ATTEMPT: ""}, {labels.POD_UID: ""}])
def test_labels_of_someone_else(changed: dict[str, str]) -> None:
    assert labels.container_of({**LABELS, **changed}) is None
