"""Trains the built-in dictionary of the link's compression: ``python -m benchmarks.dictionary FILE``.

It is run when a new version of the dictionary is wanted, never at build time: a dictionary that has been released is
part of the wire and does not change. The same versions of this file and of zstd make the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import zstandard

from benchmarks.bodies import KINDS, Fleet
from protocol.dictionaries import FIRST_ID
from protocol.payloads import encode_batch

FLEETS = 60
BATCHES_OF_A_KIND = 25
SIZE_BYTES = 16 * 1024


def samples() -> list[bytes | bytearray | memoryview]:
    """Return batches of one to four items of many fleets."""
    found: list[bytes | bytearray | memoryview] = []
    for seed in range(FLEETS):
        fleet, rng = Fleet(seed), Random(seed)
        for resource in KINDS:
            for number in range(BATCHES_OF_A_KIND):
                items = [fleet.item(resource) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
                found.append(encode_batch(number + 1, number, items))
    return found


def main() -> None:
    """Train and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dictionary")
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", type=int, default=SIZE_BYTES, help="bytes")
    options = parser.parse_args()
    trained = zstandard.train_dictionary(options.size, samples(), dict_id=FIRST_ID, level=3)
    options.file.write_bytes(trained.as_bytes())
    print(f"{options.file}: {len(trained.as_bytes())} bytes, dictionary {trained.dict_id()}")


if __name__ == "__main__":
    main()
