"""Labels in one spelling: what the formats' own words for benign, background and the attacks become.

`label` is `BENIGN`, `BACKGROUND` or the attack's name, `label_original` exactly what the source said, `is_attack` true,
false, or null for background and for rows without a label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from cybersec_mlops.connections import BACKGROUND, BENIGN
from cybersec_mlops.ingestion.rejected import printable

LABEL_LIMIT: Final = 120
"""Characters of a label; a longer one is cut, its control characters are written out: labels are shown everywhere."""

BENIGN_WORDS: Final = frozenset(
    {"benign", "normal", "legitimate", "benign traffic", "benigntraffic", "normal traffic", "0"}
)
"""What stands for no attack. A column of 0 and 1 is a label too, and no attack is called 0."""
BACKGROUND_WORDS: Final = frozenset({"background"})
UNLABELLED_WORDS: Final = frozenset(
    {"unknown", "no label", "needmanuallabel", "unlabelled", "unlabeled", "-", "?", "(empty)"}
)
"""What stands where nobody has said whether it is an attack."""
ATTACKS: Final = {
    "dos slowloris": "DoS Slowloris",
    "dos slowhttptest": "DoS Slowhttptest",
    "dos hulk": "DoS Hulk",
    "dos goldeneye": "DoS GoldenEye",
    "web attack - brute force": "Web Attack - Brute Force",
    "web attack - xss": "Web Attack - XSS",
    "web attack - sql injection": "Web Attack - SQL Injection",
    "dos attacks-slowloris": "DoS Slowloris",
    "dos attacks-slowhttptest": "DoS Slowhttptest",
    "dos attacks-hulk": "DoS Hulk",
    "dos attacks-goldeneye": "DoS GoldenEye",
    "brute force -web": "Web Attack - Brute Force",
    "brute force -xss": "Web Attack - XSS",
    "sql injection": "Web Attack - SQL Injection",
    "ddos attack-hoic": "DDoS attack-HOIC",
    "ddos attack-loic-udp": "DDoS attack-LOIC-UDP",
    "ddos attacks-loic-http": "DDoS attack-LOIC-HTTP",
    "infiltration": "Infiltration",
    "infilteration": "Infiltration",
    "infiltration - portscan": "Infiltration - Portscan",
    "portscan": "PortScan",
    "ftp-patator": "FTP-Patator",
    "ssh-patator": "SSH-Patator",
    "bot": "Bot",
    "botnet": "Bot",
    "ddos": "DDoS",
    "dos": "DoS",
    "heartbleed": "Heartbleed",
}
"""One spelling for the attacks that the published sets spell in several ways; lower case to it."""


def one_spelling(text: str) -> str:
    r"""Return a label with single blanks and one kind of dash.

    The dash of CIC-IDS2017's web attacks is 0x96 (Windows-1252) in the publisher's files and arrives, depending on who
    read them before, as an en dash, a replacement character, or both at once.

    >>> one_spelling("Web Attack \ufffd Brute  Force ")
    'Web Attack - Brute Force'
    """
    for broken in ("\u00e2\u20ac\u201c", "\u00ef\u00bf\u00bd", "\ufffd", "\u2013", "\u2014", "\x96"):
        text = text.replace(broken, "-")
    return printable(" ".join(text.split()), LABEL_LIMIT)


def with_labels(frame: pl.DataFrame, original: str, name: Callable[[str], str | None]) -> pl.DataFrame:
    """Add the three label columns from a text column.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    original : str
        The column with what the source said.
    name : callable
        Gives `BENIGN`, `BACKGROUND`, the attack's name or None for a text; called once for each distinct text.
    """
    texts = frame[original]
    known = texts.unique().drop_nulls()
    names = [name(text) for text in known]
    attacks = [None if one in (None, BACKGROUND) else one != BENIGN for one in names]
    place = texts.cast(pl.Enum(known)).to_physical()
    return frame.with_columns(
        pl.Series("label", names, dtype=pl.String).gather(place),
        texts.alias("label_original"),
        pl.Series("is_attack", attacks, dtype=pl.Boolean).gather(place),
    )


def common_name(text: str) -> str | None:
    """Return the label of a plain word, None for one that says nothing.

    >>> common_name("Normal"), common_name("0"), common_name("DoS Hulk"), common_name(" "), common_name("Unknown")
    ('BENIGN', 'BENIGN', 'DoS Hulk', None, None)
    """
    word = one_spelling(text)
    if word.casefold() in BENIGN_WORDS:
        return BENIGN
    if word.casefold() in BACKGROUND_WORDS:
        return BACKGROUND
    return None if word.casefold() in UNLABELLED_WORDS else word or None
