"""What the transformation is asked to do."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'"{name}" is not an IANA time zone such as "Europe/Prague"') from None
    return name


Window = Annotated[int, Field(gt=0, le=3600)]


class TransformationSpec(BaseModel):
    """Parameters of the transformation; part of the key of its result."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """IANA name of the zone of times that do not say theirs (CICFlowMeter's); Zeek's and Suricata's do."""
    behaviour: bool = True
    """Add what the hosts did in the recent past, where connections have a time and hosts."""
    windows_s: Annotated[tuple[Window, ...], Field(min_length=1, max_length=6)] = (60, 600)
    """Lengths of the windows of the past, in seconds."""
    slice_rows: Annotated[int, Field(ge=1_000, le=5_000_000)] = 250_000
    """Rows that are worked on at once: more is faster, less needs less memory."""
