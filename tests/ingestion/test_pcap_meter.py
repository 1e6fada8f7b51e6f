"""What is counted of a connection, packet by packet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cybersec_mlops.ingestion.pcap_meter import COLUMNS, INTEGERS, NUMBERS, TEXTS, Tally, letters_of, line_of

FLAGS = {"fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20, "ece": 0x40, "cwr": 0x80}


def packet(side: int, flags: int = 0, payload: int = 0, protocol: int = 6) -> SimpleNamespace:
    names = {name: bool(flags & bit) for name, bit in FLAGS.items()}
    return SimpleNamespace(direction=side, payload_size=payload, protocol=protocol, **names)


def tally(*packets: SimpleNamespace) -> Tally:
    counted = Tally()
    for one in packets:
        counted.add(one)
    return counted


@pytest.mark.parametrize(
    ("packets", "history"),
    [
        ([(0, 0x02), (1, 0x12), (0, 0x10), (0, 0x18, 5), (1, 0x18, 7), (1, 0x11), (0, 0x11)], "ShADdfF"),
        ([(0, 0x02), (1, 0x14)], "Sr"),
        ([(0, 0x02), (0, 0x02)], "S"),
        ([(1, 0x10), (0, 0x18, 5), (1, 0x04)], "aDr"),
    ],
)
def test_history_is_zeeks(packets: list[tuple[int, ...]], history: str) -> None:
    assert tally(*(packet(*one) for one in packets)).history == history


def test_other_protocols_have_data_or_nothing() -> None:
    assert tally(packet(0, 0, 5, 17), packet(1, 0, 5, 17)).history == "Dd"
    assert tally(packet(0, 0, 5, 1)).history == ""
    assert list(letters_of(0, 0, 17)) == []


def test_flags_and_payload_are_counted_for_each_side() -> None:
    counted = tally(packet(0, 0x02), packet(1, 0x12, 3), packet(0, 0x18, 5), packet(0, 0xC0))
    assert counted.flags == [0xDA, 0x12]
    assert counted.bytes == [5, 3]


def test_a_line_has_a_value_for_each_column() -> None:
    theirs = dict.fromkeys((*INTEGERS.values(), *NUMBERS.values()), 1) | dict.fromkeys(TEXTS.values(), "a\tb\nc")
    found = SimpleNamespace(**theirs, udps=SimpleNamespace(tally=tally(packet(0, 0x02))))
    values = line_of(found).rstrip("\n").split("\t")
    assert len(values) == len(COLUMNS)
    assert dict(zip(COLUMNS, values, strict=True))["history"] == "S"
    assert "\n" not in line_of(found)[:-1]
