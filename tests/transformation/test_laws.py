"""Laws from files to SILVER: how events are written, packed, cut and ordered changes no row and no feature."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ingestion.test_readers import SAMPLES, Read, sample
from tests.zeek_sample import FIELDS, HEADER, line

from cybersec_mlops.connections import PROVENANCE_SCHEMA
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.ingestion.readers import READERS
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.behaviour import behaviour_schema
from cybersec_mlops.transformation.silver import read_silver
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

KNOWN = [name for name, (format_name, *_) in SAMPLES.items() if format_name in READERS]


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conn.log", content)
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "zip": zipped,
}


def silver_of(files: list[bytes], folder: Path, *, slice_rows: int = 250_000) -> pl.DataFrame:
    """Bring files through RAW to SILVER; return the rows without their provenance, in an order of their content."""
    place = folder / uuid.uuid4().hex
    place.mkdir()
    for number, content in enumerate(files):
        (place / f"{number}.log").write_bytes(content)
    raw, silver = (ObjectStore.from_url(f"memory://{place.name}-{layer}") for layer in ("raw", "silver"))
    paths = [str(path) for path in sorted(place.iterdir())]
    manifest, originals, _ = ingest(paths, raw)
    spec = TransformationSpec(slice_rows=slice_rows)
    _, made = transform(originals, manifest, raw, silver, place / "scratch", dataset="law", spec=spec)
    assert made.read == made.kept + sum(made.quarantined.values()) + sum(made.skipped.values())
    return read_silver(made, silver, place / "read").drop(list(PROVENANCE_SCHEMA)).sort(pl.all(), nulls_last=True)


def as_json(text: str) -> str:
    """Return a Zeek row in JSON, unset keys left out."""
    numbers = {"ts", "id.orig_p", "id.resp_p", "duration", "orig_bytes", "resp_bytes"}
    cells = zip(FIELDS.split(), text.rstrip("\n").split("\t"), strict=True)
    values = {name: json.loads(cell) if name in numbers else cell for name, cell in cells if cell != "-"}
    return json.dumps(values) + "\n"


def written(lines: list[str], form: str) -> bytes:
    text = HEADER + "".join(lines) if form == "tsv" else "".join(map(as_json, lines))
    return text.encode()


EVENTS = [
    *(line(number) for number in range(60)),
    *(line(number, ts="1700000100.500000", uid=f"T{number}", orig_h="10.0.0.1") for number in range(8)),  # at once
    *(line(number, ts=f"{1_700_050_000 + number}.0", duration="-", service="ssl") for number in range(12)),
]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    rows = silver_of([written(EVENTS, "tsv")], tmp_path_factory.mktemp("whole"))
    assert rows.height == len(EVENTS)
    assert set(behaviour_schema((60, 600))) <= set(rows.columns)
    assert rows["orig_conns_600s"].n_unique() > 5  # there is a past to get wrong
    return rows


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_events_give_the_same_rows_and_features(
    data: st.DataObject, expected: pl.DataFrame, tmp_path: Path
) -> None:
    order = data.draw(st.permutations(range(len(EVENTS))), label="order of the rows")
    cuts = sorted(data.draw(st.sets(st.integers(1, len(EVENTS) - 1), max_size=4), label="cuts"))
    files = []
    for start, stop in zip([0, *cuts], [*cuts, len(EVENTS)], strict=True):
        form = data.draw(st.sampled_from(["tsv", "json"]), label="form")
        pack = data.draw(st.sampled_from(sorted(PACKED)), label="packed")
        files.append(PACKED[pack](written([EVENTS[place] for place in order[start:stop]], form)))
    assert silver_of(files, tmp_path).equals(expected)


@pytest.mark.parametrize("name", KNOWN)
def test_every_format_gives_the_same_rows_from_one_file_or_from_two(name: str, tmp_path: Path) -> None:
    content = sample(name)
    lines = content.splitlines(keepends=True)
    first, *_, last = Read(READERS[SAMPLES[name][0]], content).rows["raw_line"]
    header, cut = b"".join(lines[: first - 1]), (first + last) // 2
    files = [header + b"".join(lines[cut:]), gzip.compress(b"".join(lines[:cut]))]
    assert silver_of(files, tmp_path).equals(silver_of([content], tmp_path))
