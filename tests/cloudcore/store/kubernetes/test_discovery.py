from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cloudcore.errors import NotFound
from cloudcore.store.kubernetes.discovery import Discovery
from protocol.objects.keys import Body


def row(name: str, kind: str, *, namespaced: bool = True) -> Body:
    return {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]}


def group(*versions: str, preferred: str) -> Body:
    return {
        "versions": [{"groupVersion": version} for version in versions],
        "preferredVersion": {"groupVersion": preferred},
    }


@dataclass
class Server:
    documents: dict[str, Body]
    asked: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str) -> Body:
        self.asked.append(path)
        if path not in self.documents:
            raise NotFound(path)
        return self.documents[path]


@pytest.fixture
def server() -> Server:
    return Server(
        {
            "api/v1": {
                "resources": [
                    row("pods", "Pod"),
                    row("pods/status", "Pod"),
                    row("pods/binding", "Binding"),
                    row("nodes", "Node", namespaced=False),
                ]
            },
            "apis/scale.example": group("scale.example/v2beta1", "scale.example/v1", preferred="scale.example/v1"),
            "apis/scale.example/v1": {"resources": [row("scales", "Scale")]},
            "apis/scale.example/v2beta1": {"resources": [row("scales", "OldScale"), row("rulers", "Ruler")]},
        }
    )


async def test_paths_are_those_of_the_version_the_server_prefers(server: Server) -> None:
    discovery = Discovery(server)
    pods, scales = await discovery.of("pods"), await discovery.of("scales.scale.example")
    assert pods.path("d", "web", "status") == "api/v1/namespaces/d/pods/web/status"
    assert pods.path() == "api/v1/pods"
    assert pods.path("d", "../a?b=c%") == "api/v1/namespaces/d/pods/..%2Fa%3Fb%3Dc%25"
    assert pods.subresources == {"status", "binding"}
    assert (await discovery.of("nodes")).path("ignored", "n") == "api/v1/nodes/n"
    assert (scales.kind, scales.path("d")) == ("Scale", "apis/scale.example/v1/namespaces/d/scales")
    assert (await discovery.of("rulers.scale.example")).api_version == "scale.example/v2beta1"


async def test_a_group_is_asked_for_once_and_again_for_what_it_lacked(server: Server) -> None:
    discovery = Discovery(server)
    await discovery.of("pods")
    await discovery.of("nodes")
    assert server.asked == ["api/v1"]
    with pytest.raises(NotFound, match=r"no resource crontabs.example.com"):
        await discovery.of("crontabs.example.com")
    server.documents["apis/example.com"] = group("example.com/v1", preferred="example.com/v1")
    server.documents["apis/example.com/v1"] = {"resources": [row("crontabs", "CronTab")]}
    assert (await discovery.of("crontabs.example.com")).kind == "CronTab"
