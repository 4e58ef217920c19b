"""A device from kubectl to its mapper and back: real daemons, a real broker, KubeEdge's payloads."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from examples.demo.processes import Edge, until
from tests.support.brokers import broker
from tests.support.clusters import QUICK, run, running_cluster
from tests.support.devicemanifests import MANIFESTS
from tests.support.kubectl import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TWIN = "$hw/events/device/default/hall/twin/update"


async def shown(edge: Edge, *args: str) -> str:
    outcome = await run("edgecore", "twin", "--data-dir", str(edge.data_dir), *args)
    assert outcome.code == 0, outcome.err
    return outcome.out


async def test_a_device_from_kubectl_to_its_mapper_and_back(tmp_path: Path) -> None:
    with broker(tmp_path / "mqtt") as mosquitto:
        async with running_cluster(tmp_path, *QUICK) as cluster:
            edge = cluster.edges["n1"] = Edge(tmp_path / "n1", "n1")
            await cluster.join(edge, {})
            await edge.start("--mqtt", f"mqtt://127.0.0.1:{mosquitto.port}")
            await cluster.node_is("n1", "True")
            kubectl = Kubectl(cluster.cloud.kubeconfig, tmp_path)

            async def twins() -> dict[str, Any]:
                device = json.loads(await kubectl.ok("get", "device", "hall", "-o", "json"))
                rows = (device.get("status") or {}).get("twins") or []
                return {each["propertyName"]: each for each in rows}

            with mosquitto.listening("$hw/#") as ears:
                await kubectl.ok("apply", "-f", "-", stdin=MANIFESTS)
                delta = await asyncio.to_thread(ears.wait, f"{TWIN}/delta")
                assert delta["delta"] == {"target": "21.5"}
                report = {"target": {"actual": {"value": "21.5"}}, "temperature": {"actual": {"value": "19"}}}
                mosquitto.publish(TWIN, {"event_id": "m1", "timestamp": 1, "twin": report})
                assert (await asyncio.to_thread(ears.wait, f"{TWIN}/result"))["event_id"] == "m1"

                async def reported() -> bool:
                    seen = await twins()
                    return bool(seen.get("temperature", {}).get("reported", {}).get("value") == "19")

                await until("the report is in the API", reported, within_s=30.0)

                mosquitto.publish("$hw/events/device/default/hall/state/update", {"state": "online"})

                async def online() -> bool:
                    return "online" in await kubectl.ok("get", "device", "hall", "-o", "jsonpath={.status.state}")

                await until("the state is in the API", online, within_s=30.0)
                change = {"spec": {"properties": [{"name": "target", "desired": {"value": "18"}}]}}
                await kubectl.ok("patch", "device", "hall", "--type=merge", "-p", json.dumps(change))
                changed = await asyncio.to_thread(ears.wait, f"{TWIN}/delta", 2)
                assert changed["delta"] == {"target": "18"}

            local = await shown(edge, "hall", "--output", "json")
            rows = {each["name"]: each for each in json.loads(local)["properties"]}
            assert rows["target"]["delta"] == "18"
            assert rows["temperature"]["actual"]["value"] == "19"
            history = json.loads(await shown(edge, "hall", "--history", "--output", "json"))
            assert [(each["property"], each["value"]) for each in history] == [
                ("target", "21.5"),
                ("temperature", "19"),
            ]
            assert "temperature" in await shown(edge, "hall")
