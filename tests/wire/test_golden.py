"""The golden files: this code makes and reads them, and so does a reader written from the document alone."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from protocol.frames import CloseCode, FrameType, decode_frame
from protocol.link import State
from protocol.objects.keys import Uid
from protocol.samples import Metric, reading_field
from tests.fuzz.targets.frames import READERS
from tests.wire import examples, generate, reader

FRAMES: dict[str, Any] = json.loads((generate.FOLDER / "frames.json").read_text())
DIGESTS: list[Any] = json.loads((generate.FOLDER / "digests.json").read_text())
TRANSCRIPTS: dict[str, Any] = json.loads((generate.FOLDER / "transcripts.json").read_text())


@pytest.mark.parametrize("name", ["frames.json", "digests.json", "transcripts.json"])
def test_the_wire_is_what_it_was(name: str) -> None:
    """A change here is a change of the protocol; where it is meant, run ``python -m tests.wire.generate``."""
    assert generate.files()[name] == json.loads((generate.FOLDER / name).read_text())


def test_every_type_and_codec_has_a_golden_frame() -> None:
    frames = [bytes.fromhex(each["frame"]) for each in FRAMES.values()]
    assert {decode_frame(frame).type for frame in frames} == set(FrameType)
    assert {frame[0] >> 6 for frame in frames} == set(map(int, generate.CODECS))


@pytest.mark.parametrize("name", FRAMES)
def test_both_readers_understand_a_frame_alike(name: str) -> None:
    data = bytes.fromhex(FRAMES[name]["frame"])
    ours = decode_frame(data)
    theirs = reader.read(data)
    assert theirs == FRAMES[name]["read"]
    assert (theirs["type"], theirs["epoch"]) == (ours.type.name, ours.epoch)
    READERS[ours.type][0](ours.payload)


def test_a_node_s_slice_travels_as_projections() -> None:
    items = reader.read(bytes.fromhex(FRAMES["batch-down-none"]["frame"]))["items"]
    bodies = [msgpack.unpackb(bytes.fromhex(item["body"])) for item in items if item["op"] == "put"]
    assert [body["kind"] for body in bodies] == [body["kind"] for _, body in examples.OBJECTS]
    for body in bodies:
        assert "status" not in body
        assert not {"managedFields", "resourceVersion"} & body["metadata"].keys()
        assert not body["metadata"].get("annotations")


def test_heartbeats_add_up() -> None:
    load: dict[str, int] = dict.fromkeys(reader.LOADS, 0)
    readings: dict[int, int] = {}
    for number in range(1, 8):
        golden = FRAMES[f"heartbeat-{number}"]
        body = bytes.fromhex(reader.read(bytes.fromhex(golden["frame"]))["body"])
        load, readings = reader.load_after(load, body), reader.readings_after(readings, body)
        assert load == golden["known"]
        assert readings == {int(field): value for field, value in golden.get("known_readings", {}).items()}


def test_the_reader_numbers_readings_alike() -> None:
    for metric in Metric:
        for container in ("", "web"):
            ours = reading_field(Uid(examples.POD_UID), container, metric)
            assert reader.reading_field(examples.POD_UID, container, metric.name.lower()) == ours
    known = FRAMES["heartbeat-5"]["known_readings"]
    assert known[str(reader.reading_field(examples.POD_UID, "", "gpu"))] == 70_000


@pytest.mark.parametrize("example", DIGESTS)
def test_the_reader_makes_the_same_digests(example: Any) -> None:
    assert reader.digest(example["incarnation"], example["entries"]).hex() == example["digest"]
    for entry, one in zip(example["entries"], example["hashes"], strict=True):
        assert reader.digest(example["incarnation"], [entry]).hex() == one


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_reader_can_follow_a_session(name: str) -> None:
    sent = [step for step in TRANSCRIPTS[name]["steps"] if "sends" in step]
    read = [(step["who"], reader.read(bytes.fromhex(step["sends"]))) for step in sent]
    assert (read[0][0], read[0][1]["type"]) == ("edge", "HELLO")
    epochs = {said["epoch"] for _, said in read if said["type"] not in {"HELLO", "ERROR"}}
    assert len(epochs) <= 1, "after the handshake all frames are of one epoch"


def test_the_document_has_every_type_close_code_and_state() -> None:
    document = (generate.FOLDER.parents[1] / "docs" / "protocol.md").read_text()
    missing = [kind.name for kind in FrameType if f"{int(kind)} {kind.name}" not in document]
    missing += [
        str(int(code)) for code in CloseCode if f"| {int(code)}" not in document and f" {int(code)} " not in document
    ]
    missing += [state.name for state in State if state.name not in document and state is not State.CLOSED]
    assert missing == []
