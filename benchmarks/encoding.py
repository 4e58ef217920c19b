"""Bytes on the wire by encoding: new objects, alone and in batches, and series of small edits; and what it costs.

``delta`` is zstd with the version before as its dictionary, which both ends would have to hold: it is measured and not
built (docs/decisions). The bodies are of a fleet that the built-in dictionary was not trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import zstandard

from benchmarks.bodies import KINDS, Fleet, config_map, pod, service
from benchmarks.dictionary import FLEETS
from benchmarks.harness import Row, report
from protocol.compression import Codec, compress, decompress
from protocol.frames import MAX_PAYLOAD_BYTES
from protocol.messages import Item
from protocol.objects.keys import Body
from protocol.payloads import encode_batch

UNSEEN = FLEETS + 1000
CODECS = (Codec.ZSTD, Codec.SNAPPY, Codec.ZSTD_DICTIONARY)


def sizes(payloads: Sequence[bytes]) -> dict[str, int]:
    """Return the mean size of ``payloads`` by codec, bytes; what does not shrink goes as it is."""
    plain = sum(map(len, payloads))
    packed = {codec: sum(min(len(one), len(compress(codec, one))) for one in payloads) for codec in CODECS}
    return {name: total // len(payloads) for name, total in _named(plain, packed).items()}


def _named(plain: int, packed: dict[Codec, int]) -> dict[str, int]:
    return {"msgpack": plain, **{codec.name.lower(): total for codec, total in packed.items()}}


def new_objects(fleet: Fleet, samples: int) -> list[Row]:
    """Measure objects that the receiver has not seen, by kind and batch."""
    rows: list[Row] = []
    for resource in KINDS:
        for count in (1, 20):
            payloads = [encode_batch(n + 1, n, [fleet.item(resource) for _ in range(count)]) for n in range(samples)]
            rows.append({"what": f"{count} new {resource}", **sizes(payloads), "delta": "-"})
    return rows


def edits(fleet: Fleet, samples: int) -> list[Row]:
    """Measure small changes of objects that the receiver holds in the version before."""
    series: dict[str, tuple[str, Callable[[], Body], Callable[[Body, int], None]]] = {
        "a Pod's annotation": ("pods", lambda: pod(fleet), _annotate),
        "a Service's target port": ("services", lambda: service(fleet), _move_port),
        "a line of a 50 KB ConfigMap": ("configmaps", lambda: config_map(fleet, 50_000), _change_line),
    }
    return [{"what": what, **_edited(fleet, *how, samples)} for what, how in series.items()]


def _edited(
    fleet: Fleet, resource: str, make: Callable[[], Body], edit: Callable[[Body, int], None], samples: int
) -> dict[str, int]:
    payloads, deltas = [], 0
    body = make()
    before = fleet.put(resource, body)
    for turn in range(samples):
        body = deepcopy(body)
        edit(body, turn)
        after = fleet.put(resource, body)
        payloads.append(encode_batch(turn + 1, turn, [after]))
        deltas += _delta_bytes(before, after, turn)
        before = after
    return {**sizes(payloads), "delta": deltas // samples}


def _delta_bytes(before: Item, after: Item, turn: int) -> int:
    """Return the size of a batch whose body is compressed against the version before."""
    previous = zstandard.ZstdCompressionDict(before.body, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    body = zstandard.ZstdCompressor(level=3, dict_data=previous, write_content_size=True).compress(after.body)
    frame = encode_batch(turn + 1, turn, [after._replace(body=body)])
    return min(len(frame), len(compress(Codec.ZSTD_DICTIONARY, frame)))


def _annotate(body: Body, turn: int) -> None:
    body["metadata"].setdefault("annotations", {})["example.com/checked"] = f"run-{turn}"


def _move_port(body: Body, turn: int) -> None:
    body["spec"]["ports"][0]["targetPort"] = 9000 + turn


def _change_line(body: Body, turn: int) -> None:
    name = max(body["data"], key=lambda key: len(body["data"][key]))
    lines = body["data"][name].split("\n")
    lines[(turn * 37) % len(lines)] = f"changed.in.turn = {turn}"
    body["data"][name] = "\n".join(lines)


def cost(fleet: Fleet, rounds: int) -> list[Row]:
    """Time the codecs on Pods, alone and twenty to a batch, microseconds per item."""
    rows: list[Row] = []
    for count in (1, 20):
        payload = encode_batch(1, 0, [fleet.item("pods") for _ in range(count)])
        for codec in CODECS:
            packed = compress(codec, payload)
            there = _time(partial(compress, codec, payload), rounds)
            back = _time(partial(decompress, codec, packed, MAX_PAYLOAD_BYTES), rounds)
            name = f"{codec.name.lower()}, {count} pods"
            rows.append({"what": name, "compress µs": there / count, "decompress µs": back / count})
    return rows


def _time(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(rounds):
            work()
        best = min(best, (time.perf_counter() - started) / rounds)
    return best * 1e6


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding")
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    fleet = Fleet(UNSEEN)
    report("encoding", "Payload bytes by encoding", new_objects(fleet, options.samples) + edits(fleet, options.samples))
    report("encoding_cost", "Time by encoding", cost(fleet, 20 * options.samples))


if __name__ == "__main__":
    main()
