"""Characters of hostile text that a terminal obeys or nobody sees; what stands in their place is each caller's own."""

from __future__ import annotations

from typing import Final

HIDDEN: Final = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f"
)
"""The inside of a class of a regular expression: controls but tab and newline, directions, no width, tags."""
