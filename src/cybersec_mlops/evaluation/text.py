"""Words and numbers as a person reads them, from data that may be hostile.

Labels, host names and paths are written by whoever made the traffic: they are shortened, control and direction-changing
characters are made visible, and every output escapes them for its own syntax on top of this.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final

from cybersec_mlops.evaluation.bootstrap import Estimate

NONE: Final = "\N{EN DASH}"
LIMIT: Final = 80
NOT_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that could change how the rest is read; among them all direction overrides."""
MARKDOWN: Final = frozenset("\\`*_{}[]<>()#+-.!|&~$^=:\"'@/")


def plain(value: object, limit: int = LIMIT) -> str:
    r"""Return a value as one short line of visible characters.

    >>> plain("a\nb"), plain("x" * 100, limit=5), plain("\u202egnp")
    ('a\\u000ab', 'xxxxx… (100 characters)', '\\u202egnp')
    """
    text = str(value)
    shown = visible(text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text):,} characters)"


def visible(text: str) -> str:
    """Return text with characters that are not seen as they are (control, direction, unassigned) written as escapes."""
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in NOT_SHOWN else c for c in text)


def markdown(value: object, limit: int = LIMIT) -> str:
    r"""Return a value for use inside Markdown, where it renders as itself and as nothing else.

    >>> markdown("<b>|*x*")
    '&lt;b&gt;\\|\\*x\\*'
    """
    entities = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    return "".join(entities.get(c, f"\\{c}" if c in MARKDOWN else c) for c in plain(value, limit))


def count(value: float | None) -> str:
    """Return a count with thousands separated; a dash where there is none.

    >>> count(1234567), count(12.34)
    ('1,234,567', '12.3')
    """
    if value is None:
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.3g}"


def percent(value: float | None) -> str:
    """Return a rate in percent; never 100 % or 0 % unless it is exactly that.

    >>> [percent(rate) for rate in (0.0, 0.00004, 0.0123, 0.456, 0.99999, 1.0)]
    ['0 %', '<0.01 %', '1.23 %', '45.6 %', '>99.9 %', '100 %']
    """
    if value is None:
        return NONE
    if value in (0.0, 1.0):
        return f"{100 * value:.0f} %"
    if value < 0.00005:
        return "<0.01 %"
    if value >= 0.9995:
        return ">99.9 %"
    return f"{100 * value:.1f} %" if value >= 0.0995 else f"{100 * value:.2f} %"


def round_percent(value: float) -> str:
    """Return a rate that somebody chose, in percent.

    >>> round_percent(0.01), round_percent(0.001)
    ('1 %', '0.1 %')
    """
    return f"{100 * value:.3g} %"


def percent_interval(estimate: Estimate | None) -> str:
    """Return the interval of a rate, in percent.

    >>> percent_interval(Estimate(0.5, 0.4, 0.61))
    '40.0 % to 61.0 %'
    """
    return "" if estimate is None else f"{percent(estimate.low)} to {percent(estimate.high)}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with a fixed number of decimals, rounded away from a false 1.

    >>> number(0.99999), number(0.5)
    ('0.999', '0.500')
    """
    if value is None:
        return NONE
    if value < 1.0 and round(value, digits) >= 1.0:
        value = math.floor(value * 10**digits) / 10**digits
    return f"{value:.{digits}f}"


def interval(estimate: Estimate | None) -> str:
    """Return the interval of a figure.

    >>> interval(Estimate(0.5, 0.4, 0.61))
    '0.400 to 0.610'
    """
    return "" if estimate is None else f"{number(estimate.low)} to {number(estimate.high)}"


def size(value: int | None) -> str:
    """Return a size in bytes with a decimal unit.

    >>> size(999), size(1_500_000)
    ('999 B', '1.5 MB')
    """
    if value is None:
        return NONE
    amount, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def ratio(value: float | None) -> str:
    """Return how many times one number is another, with a multiplication sign."""
    return NONE if value is None else f"{value:.3g}\N{MULTIPLICATION SIGN}"


def duration(days: float) -> str:
    """Return a time span, in hours where it is short.

    >>> duration(0.25), duration(12.0)
    ('6 hours', '12 days')
    """
    return f"{24 * days:.3g} hours" if days < 2 else f"{days:,.3g} days"
