"""What a person reads of a NodeSync."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cloudcore.syncing import sync_view, why
from protocol.objects.keys import Body

NOW = 1_790_000_000.0
SINCE = "2026-09-21T14:08:20Z"  # five minutes before NOW
DIGEST = {"cloud": "1a2b3c4d", "edge": "1a2b3c4d", "edgeAsOf": "2026-09-21T14:13:17.000000Z", "equal": True}


def shown(limit: int | None = 20, **status: Any) -> str:
    """Return what is printed of a connected node whose status is changed so."""
    whole: Body = {
        "connected": True,
        "state": "InSync",
        "since": SINCE,
        "epoch": 7,
        "transport": "websocket",
        "address": "192.0.2.1:40000",
        "digest": DIGEST,
        "slice": {"objects": 12},
        "pendingTotal": 0,
        "lagSeconds": 0.0,
        "lanes": [],
        "pending": [],
        "rejected": [],
        "held": "",
    }
    out = StringIO()
    sync = {"metadata": {"name": "edge-1"}, "status": whole | status}
    Console(file=out, width=200).print(sync_view(sync, NOW, limit=limit))
    return out.getvalue()


def row(name: str = "web", **changed: Any) -> Body:
    whole = {"resource": "configmaps", "namespace": "default", "name": name, "operation": "put", "lane": "spec"}
    return {**whole, "ageSeconds": 4.2, "why": "Queued", **changed}


def test_a_node_in_sync_is_told_in_few_lines() -> None:
    text = shown()
    assert "in sync: the node holds its slice" in text
    assert "connected for 5m, since 2026-09-21T14:08:20Z, epoch 7, websocket from 192.0.2.1:40000" in text
    assert "equal (1a2b3c4d), as the node told 3.0s ago" in text
    assert "12 objects" in text
    assert "PENDING" not in text


def test_the_longest_owed_are_listed_and_the_rest_counted() -> None:
    rows = [row(f"cm-{number}") for number in range(30)]
    text = shown(state="Pending", pendingTotal=1500, lagSeconds=70.0, pending=rows)
    assert "1500 objects, the oldest for 70s" in text
    assert "cm-19" in text
    assert "cm-20" not in text
    assert "… and 1480 more (--all shows more)" in text
    assert "… and 1470 more\n" in shown(None, state="Pending", pendingTotal=1500, lagSeconds=70.0, pending=rows)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"why": "InFlight", "sends": 1}, "sent, not acknowledged"),
        ({"why": "InFlight", "sends": 2}, "sent, not acknowledged, redelivered once"),
        ({"why": "InFlight", "sends": 4}, "sent, not acknowledged, redelivered 3 times"),
        (
            {"why": "Later", "retryInSeconds": 2.5, "putOff": 3},
            "the node wants it later, again in 2.5s, put off 3 times",
        ),
        ({"why": "WindowClosed"}, "the node takes no more for now (window closed)"),
        ({"why": "Held"}, "held by the daily cap"),
        ({"why": "Queued", "behind": 2}, "goes with one of the next batches, 2 behind it"),
        ({"why": "Novel"}, "Novel"),
    ],
)
def test_every_reason_has_words(changed: Body, words: str) -> None:
    assert why(row(**changed)) == words


def test_a_node_that_is_away_is_not_guessed_about() -> None:
    away: dict[str, Any] = {
        "connected": False,
        "state": "Offline",
        "closeCode": 4021,
        "reason": "nothing heard for 15 s",
    }
    text = shown(**away, digest=DIGEST | {"equal": False, "edge": "00000007"})
    assert "what the node would need is found out when it resumes" in text
    assert "not connected for 5m, since 2026-09-21T14:08:20Z, epoch 7: nothing heard for 15 s (code 4021)" in text
    assert "different: the slice has 1a2b3c4d, the node 00000007" in text


def test_a_node_nobody_has_seen_says_so() -> None:
    unseen = {"cloud": "1a2b3c4d", "edge": None, "equal": None}
    text = shown(connected=False, state="Offline", since=None, digest=unseen)
    assert "it has not been since this cloudcore started" in text
    assert "the node has told none yet" in text


def test_a_digest_older_than_the_last_ack_is_no_verdict() -> None:
    assert "not known until the next heartbeat" in shown(digest=DIGEST | {"equal": None, "edge": "00000007"})


def test_rejections_and_lanes_have_tables() -> None:
    rejected = [{"object": "pods/default/web", "code": "Invalid", "reason": "no such runtime"}]
    lanes = [{"lane": "spec", "queued": 3, "inFlight": 1, "oldestSeconds": 12.0}]
    text = shown(state="Rejected", rejected=rejected, lanes=lanes, held="link.daily_bytes: 9 of 9 bytes used")
    assert "pods/default/web  Invalid  no such runtime" in text
    assert "spec  3       1          12s" in text
    assert "held    link.daily_bytes" in text


def test_the_days_bytes_are_told_with_what_they_went_to() -> None:
    today = [
        {"direction": "sent", "lane": lane, "kind": "pods", "bytes": 1500} for lane in ("spec", "delete", "bulk", "x")
    ]
    text = shown(traffic={"usedBytes": 6000, "dailyBytes": 10_000, "today": today})
    assert "6,000 of 10,000 bytes today (UTC); most: spec pods 1,500, delete pods 1,500, bulk pods 1,500" in text
    (line,) = [line for line in shown(traffic={"usedBytes": 6000, "dailyBytes": 0}).splitlines() if "traffic" in line]
    assert line.split() == ["traffic", "6,000", "bytes", "today", "(UTC)"]
