"""Short messages: alphabets, parts, bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.actions.modem import decoded
from vedette.core.sms import _BASIC, _SEPTETS, cut, is_basic, simplified, submit, ucs2_hex

NUMBER = "+4915112345678"


@pytest.mark.parametrize(
    ("number", "text", "pdu"),
    [
        # user data known from the literature on TS 23.038
        ("+46708251358", "hellohello", "0001000B916407281553F800000AE8329BFD4697D9EC37"),
        (
            "+85291234567",
            "It is easy to send text messages.",
            "0001000B915892214365F7000021493A283D0795C3F33C88FE06CDCB6E32885EC6D341EDF27C1E3E97E72E",
        ),
    ],
)
def test_known_messages(number: str, text: str, pdu: str) -> None:
    (part,) = submit(number, text, 1, 0)
    assert part.pdu == pdu
    assert part.length == len(pdu) // 2 - 1


def test_the_alphabet_has_128_positions() -> None:
    assert len(_BASIC) == 128
    assert len(set(_BASIC)) == 128


def test_room() -> None:
    assert [len(cut("a" * size, 5)) for size in (160, 161, 306, 307)] == [1, 2, 2, 3]
    assert [len(cut("€" * size, 5)) for size in (80, 81)] == [1, 2], "two septets each"
    assert [len(cut("測" * size, 5)) for size in (70, 71, 134, 135)] == [1, 2, 2, 3]
    assert [len(cut("🚨" * size, 5)) for size in (35, 36)] == [1, 2], "two units each"
    assert cut("a" * 200, 1) == ["a" * 157 + "..."]
    assert cut("測" * 100, 1) == ["測" * 69 + "…"]
    assert simplified("a – “b”…") == 'a - "b"...'
    assert ucs2_hex("+4€") == "002B003420AC"


texts = st.text(st.sampled_from(list(_SEPTETS)), max_size=800) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=500
)


@settings(max_examples=400, deadline=None)
@given(texts, st.integers(1, 5), st.integers(0, 255))
def test_what_is_sent_is_what_is_read(text: str, parts: int, reference: int) -> None:
    pieces = cut(text, parts)
    messages = submit(NUMBER, text, parts, reference)
    assert 1 <= len(messages) == len(pieces) <= parts
    for message, piece in zip(messages, pieces, strict=True):
        assert len(bytes.fromhex(message.pdu)) == message.length + 1
        assert message.length <= 12 + len(NUMBER) // 2 + 140
        assert decoded(message.pdu) == (NUMBER, piece)
    whole = "".join(pieces)
    plain = simplified(text)
    if whole != plain:
        mark = "..." if is_basic(plain) else "…"
        assert whole.endswith(mark)
        assert plain.startswith(whole.removesuffix(mark))
        assert len(whole) > 30, "the room is used"
