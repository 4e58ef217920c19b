"""The framing against the library's own protocol as the oracle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.protocol import Protocol, Side

from protocol.frames import MAX_FRAME_BYTES
from protocol.transports.websocketframing import MAX_ODD_FRAMES, WebSocketFraming

MESSAGES = st.lists(st.binary(max_size=140), max_size=5)
FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from([Opcode.BINARY, Opcode.TEXT, Opcode.CONT, Opcode.PING, Opcode.PONG]),
        st.binary(max_size=200),
        st.booleans(),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=12,
)


def received(framing: WebSocketFraming, data: bytes, sizes: list[int]) -> list[bytes]:
    """Feed ``data`` in pieces of ``sizes``, over and over."""
    messages, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        messages += framing.receive(memoryview(data)[at : at + size])
        at, turn = at + size, turn + 1
    return messages


def oracle(client: bool, data: bytes) -> tuple[list[bytes], Protocol]:
    """Return the messages that the library reads from ``data``, and its protocol."""
    library = Protocol(Side.CLIENT if client else Side.SERVER, max_size=MAX_FRAME_BYTES)
    library.receive_data(data)
    messages, parts = [], b""
    for event in library.events_received():
        assert isinstance(event, Frame)
        if event.opcode in CTRL_OPCODES:
            continue
        parts += bytes(event.data)
        if event.fin:
            messages.append(parts)
            parts = b""
    return messages, library


@given(MESSAGES, st.booleans(), st.lists(st.integers(1, 200), min_size=1, max_size=3))
def test_messages_survive_any_cut(messages: list[bytes], client: bool, sizes: list[int]) -> None:
    data = WebSocketFraming(client=client).encode(messages)
    assert received(WebSocketFraming(client=not client), data, sizes) == messages
    assert oracle(not client, data)[0] == messages


def test_every_length_survives() -> None:
    messages = [bytes(length) for length in (0, 1, 125, 126, 65_535, 65_536, MAX_FRAME_BYTES)]
    for client in (False, True):
        data = WebSocketFraming(client=client).encode(messages)
        assert received(WebSocketFraming(client=not client), data, [9_973]) == messages
        assert oracle(not client, data)[0] == messages


def unchecked(frame: Frame, mask: bool) -> bytes:
    """Return the bytes of a frame, good or bad."""
    head = frame.fin << 7 | frame.rsv1 << 6 | frame.opcode
    length = len(frame.data)
    size = bytes([mask << 7 | length]) if length < 126 else bytes([mask << 7 | 126]) + length.to_bytes(2, "big")
    return bytes([head]) + size + bytes(4 if mask else 0) + bytes(frame.data)


@given(FRAMES, st.booleans(), st.lists(st.integers(1, 300), min_size=1, max_size=3))
def test_frames_of_all_kinds_end_as_the_library_says(frames: list[Frame], client: bool, sizes: list[int]) -> None:
    data = b"".join(unchecked(frame, not client) for frame in frames)
    framing = WebSocketFraming(client=client)
    messages = received(framing, data, sizes)
    expected, library = oracle(client, data)
    assert messages == expected
    assert framing.closing == (library.close_sent is not None)
    if framing.closing:
        assert framing.ending.code == getattr(library.close_sent, "code", None)


@given(st.binary(max_size=400), st.booleans())
def test_garbage_raises_nothing_and_says_nothing(data: bytes, client: bool) -> None:
    framing = WebSocketFraming(client=client)
    messages = received(framing, data, [7])
    expected, _ = oracle(client, data)
    assert messages == expected


def test_a_frame_over_the_limit_is_refused_by_its_header_alone() -> None:
    framing = WebSocketFraming(client=True)
    assert framing.receive(b"\x82\x7f" + (MAX_FRAME_BYTES + 1).to_bytes(8, "big")) == []
    assert framing.closing
    assert framing.ending.code == 1009


def test_fragments_over_the_limit_are_refused_before_they_are_read() -> None:
    framing = WebSocketFraming(client=True)
    half = MAX_FRAME_BYTES // 2 + 1
    framing.receive(b"\x02\x7f" + half.to_bytes(8, "big") + bytes(half))
    assert not framing.closing
    framing.receive(b"\x00\x7f" + half.to_bytes(8, "big"))
    assert framing.ending.code == 1009


def test_a_ping_is_answered_and_the_stream_goes_on() -> None:
    framing = WebSocketFraming(client=True)
    assert framing.receive(b"\x82\x01a\x89\x02hi\x82\x01b") == [b"a", b"b"]
    assert framing.data_to_send()[0][0] == 0x8A


def test_who_closes_first_decides_code_and_reason() -> None:
    first, second = WebSocketFraming(client=True), WebSocketFraming(client=False)
    first.close(4001, "one")
    second.receive(first.data_to_send()[0])
    answer, ends = second.data_to_send()
    first.receive(answer)
    first.receive_eof()
    assert ends
    for side in (first, second):
        assert (side.ending.code, side.ending.reason) == (4001, "one")


def test_an_end_without_a_word_is_abnormal() -> None:
    framing = WebSocketFraming(client=False)
    framing.receive(b"\x82")
    framing.receive_eof()
    assert framing.closing
    assert framing.ending.code == 1006


def test_control_frames_without_end_are_cut_off() -> None:
    server, client = WebSocketFraming(client=False), WebSocketFraming(client=True)
    ping = b"\x89\x80\x00\x00\x00\x00"
    for _ in range(MAX_ODD_FRAMES):
        server.receive(ping + client.encode([b"frame"]))
    taken = not server.closing
    assert taken, "as many messages as pings are no flood"
    server.receive(ping * (MAX_ODD_FRAMES + 2))
    assert server.closing
    server.receive_eof()
    assert server.ending.code == 1008
