"""TCP flags as letters."""

from __future__ import annotations

import polars as pl

from cybersec_mlops.ingestion.tcp_flags import ACK, FIN, PSH, RST, SYN, flag_letters, letters


def test_each_flag_has_its_place() -> None:
    assert [letters(flag) for flag in (FIN, SYN, RST, PSH, ACK, 0x20, 0x40, 0x80)] == [
        *(".......F", "......S.", ".....R..", "....P...", "...A....", "..U.....", ".E......", "C......."),
    ]


def test_numbers_become_letters_and_unset_stays_unset() -> None:
    numbers = pl.DataFrame({"flags": [0x1B, 0, None, 0x1FF]}, schema={"flags": pl.Int64()})
    assert numbers.select(flag_letters(pl.col("flags"))).to_series().to_list() == [
        *("...AP.SF", "........", None, "CEUAPRSF")
    ]
