"""The bus against a real mosquitto, with KubeEdge's documented payloads."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgecore.bus.desk import Desk
from edgecore.bus.mqtt import BrokerSettings, MqttBus, address_of
from edgecore.meta.memory import MemoryEngine
from edgecore.meta.store import MetaStore
from edgecore.twin.driver import TwinDriver
from edgecore.twin.store import TwinStore
from protocol.errors import UsageError
from protocol.objects.keys import NodeName
from tests.support.brokers import Broker, broker
from tests.support.edgedevices import MODEL, device, sent
from tests.support.waiting import aeventually

TWIN = "$hw/events/device/default/hall/twin"
STATE = "$hw/events/device/default/hall/state"


class Edge:
    """The twins of a node and its bus."""

    def __init__(self, path: Path, settings: BrokerSettings) -> None:
        self.store = MetaStore(MemoryEngine(), NodeName("edge-1"))
        self.twins = TwinDriver(self.store, self.store, TwinStore(path / "twins" / "twins.db"))
        self.bus = MqttBus(settings, Desk("edge-1"), self.twins, rng=Random(1))
        self.store.subscribe(self.twins)
        self._version = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.store.begin_session(1, "inc-1", equal=True)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each.run(), name="edge") for each in (self.twins, self.bus)]
        await aeventually(lambda: self.bus.connected, what="the bus does not connect")

    async def apply(self, *bodies: dict[str, Any]) -> None:
        self._version += 10
        await self.store.apply(sent(self._version, *bodies), 1)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()


def made(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@asynccontextmanager
async def edge(path: Path, at: Broker, **settings: Any) -> AsyncIterator[Edge]:
    running = Edge(path, BrokerSettings("127.0.0.1", at.port, client_id="edge", **settings))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@pytest.mark.e2e
async def test_a_desired_value_becomes_a_delta_and_a_report_goes_up(tmp_path: Path) -> None:
    with broker(tmp_path / "mqtt") as mosquitto:
        async with edge(tmp_path, mosquitto) as running:
            with mosquitto.listening("$hw/#") as ears:
                await running.apply(MODEL, device(desired={"target": "21"}))
                delta = await asyncio.to_thread(ears.wait, f"{TWIN}/update/delta")
                assert delta["delta"] == {"target": "21"}
                added = await asyncio.to_thread(ears.wait, "$hw/events/node/edge-1/membership/updated")
                assert [each["id"] for each in added["added_devices"]] == ["default/hall"]
                update = {"event_id": "e1", "timestamp": 1, "twin": {"target": {"actual": {"value": "21"}}}}
                mosquitto.publish(f"{TWIN}/update", update)
                result = await asyncio.to_thread(ears.wait, f"{TWIN}/update/result")
                assert result["event_id"] == "e1"
                assert result["twin"]["target"]["actual"]["value"] == "21"
                assert result["twin"]["target"]["metadata"] == {"type": "int"}
                document = await asyncio.to_thread(ears.wait, f"{TWIN}/update/document", 2)
                assert document["twin"]["target"]["last"]["expected"]["value"] == "21"
                assert document["twin"]["target"]["current"]["actual"]["value"] == "21"
            owed = await aeventually(lambda: [row for row in running.store.owed() if b"21" in row.body])
            assert owed[0].key.resource == "devices.devices.kubeedge.io/status"


@pytest.mark.e2e
async def test_states_and_wills_are_taken(tmp_path: Path) -> None:
    with broker(tmp_path / "mqtt") as mosquitto:
        async with edge(tmp_path, mosquitto) as running:
            await running.apply(MODEL, device())
            await aeventually(lambda: len(running.twins.book))
            with mosquitto.listening("$hw/#") as ears:
                mosquitto.publish(f"{STATE}/update", {"event_id": "", "timestamp": 0, "state": "online"})
                result = await asyncio.to_thread(ears.wait, f"{STATE}/update/result")
                assert result["device"]["name"] == "hall"
                assert result["device"]["state"] == "online"
                assert result["device"]["last_online"].endswith("Z")
                will = ["--will-topic", f"{STATE}/update", "--will-payload", '{"state": "offline"}']
                mapper = await asyncio.create_subprocess_exec(
                    "mosquitto_sub", "-p", str(mosquitto.port), "-t", "x", *will, stdout=asyncio.subprocess.DEVNULL
                )
                await asyncio.sleep(0.3)  # its session has to be there before it can be lost
                mapper.kill()
                await mapper.wait()
                result = await asyncio.to_thread(ears.wait, f"{STATE}/update/result", 2)
                assert result["device"]["state"] == "offline"


@pytest.mark.e2e
async def test_a_broker_that_dies_and_returns_is_served_again(tmp_path: Path) -> None:
    with broker(tmp_path / "mqtt") as mosquitto:
        async with edge(tmp_path, mosquitto) as running:
            await running.apply(MODEL, device())
            await aeventually(lambda: len(running.twins.book))
            mosquitto.stop()
            await aeventually(lambda: not running.bus.connected)
            assert running.bus.live()["problem"]
            await running.apply(device(generation=2, desired={"target": "22"}))
            await asyncio.to_thread(mosquitto.start)
            with mosquitto.listening("$hw/#") as ears:
                await aeventually(lambda: running.bus.connected)
                mosquitto.publish(f"{TWIN}/get", {"event_id": "g"})
                result = await asyncio.to_thread(ears.wait, f"{TWIN}/get/result")
                assert result["twin"]["target"]["expected"]["value"] == "22"


@pytest.mark.e2e
async def test_user_password_and_mqtt_5(tmp_path: Path) -> None:
    folder = tmp_path / "mqtt"
    folder.mkdir()
    passwords, password = folder / "passwords", folder / "password"
    passwords.touch(mode=0o600)
    made("mosquitto_passwd", "-b", str(passwords), "edge", "secret")
    password.write_text("secret\n")
    extra = ("allow_anonymous false", f"password_file {passwords}")
    with broker(folder, *extra, client=("-u", "edge", "-P", "secret")) as mosquitto:
        settings = {"username": "edge", "password_file": password, "version": "5"}
        async with edge(tmp_path, mosquitto, **settings) as running:
            await running.apply(MODEL, device())
            await aeventually(lambda: len(running.twins.book))
            with mosquitto.listening("$hw/#") as ears:
                mosquitto.publish(f"{TWIN}/get", {"event_id": "g"})
                assert (await asyncio.to_thread(ears.wait, f"{TWIN}/get/result"))["event_id"] == "g"


@pytest.mark.e2e
async def test_tls_verifies_the_broker(tmp_path: Path) -> None:
    folder = tmp_path / "mqtt"
    folder.mkdir()
    certificate, key = folder / "broker.crt", folder / "broker.key"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    subject = ("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1")
    made("openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(certificate), *subject)
    with broker(
        folder, f"certfile {certificate}", f"keyfile {key}", client=("--cafile", str(certificate))
    ) as mosquitto:
        async with edge(tmp_path, mosquitto, tls=True, authority=certificate) as running:
            assert running.bus.connected
        stranger = Edge(tmp_path / "other", BrokerSettings("127.0.0.1", mosquitto.port, tls=True, client_id="other"))
        task = asyncio.get_running_loop().create_task(stranger.bus.run(), name="stranger")
        await aeventually(lambda: "certificate" in stranger.bus.problem.lower())
        assert not stranger.bus.connected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stranger.store.close()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://127.0.0.1", ("127.0.0.1", 1883, False)),
        ("mqtts://broker.example", ("broker.example", 8883, True)),
        ("mqtt://[::1]:2000/", ("::1", 2000, False)),
    ],
)
def test_addresses_of_brokers(url: str, address: tuple[str, int, bool]) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://x:99999", "mqtt://user:secret@x", "mqtt://x/topic"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(UsageError):
        address_of(url)
