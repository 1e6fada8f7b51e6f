"""The tables of docs/formats.md: every file of the collections, inspected, ingested and transformed, with the defaults.

    .venv/bin/python benchmarks/formats_table.py [--data ../shared/data] [--only PART-OF-A-NAME]

A file that can be used gives a line of what became of every row of it, beside the rows that MANIFEST.json counts;
those that cannot are listed by their one-line error, here without the columns that it names. Where `inspect` told
something else than ingestion and transformation did, the line says so, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tarfile
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.ingestion.inspect import Inspected, inspect_sources
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

LABELS_SHOWN = 4


def main() -> None:
    """Take every file of the manifest and print the two tables."""
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--only", default="", help="only files whose name holds this")
    given = parser.parse_args()
    data = given.data.resolve()
    entries = json.loads((data / "MANIFEST.json").read_text())["files"]
    rows = {entry["file"]: entry["rows"] for entry in entries}
    used = []
    refused: dict[tuple[str, str], list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-formats-") as name, contextlib.chdir(name):
        for file in sorted(rows):
            if given.only in file:
                _unpack(data, file.split("/")[0])
                (told,) = inspect_sources([file])
                try:
                    used.append(_line(file, rows[file], told))
                except DataError as error:
                    collection, _, rest = file.partition("/")
                    message = _bare(error.message, file)
                    if told.kept or (told.problem and _bare(told.problem, file) != message):
                        rest += f"` (**inspect: {_bare(told.problem or 'can be used', file)}**)`"
                    refused.setdefault((collection, message), []).append(rest)
    count = sum(len(files) for files in refused.values())
    print(f"{datetime.now(UTC):%Y-%m-%d}: {len(used)} files are read, {count} are refused\n")
    print("| file | format, variant | in the manifest | read | kept | quarantined | skipped by rule | labels |")
    print("|---|---|---:|---:|---:|---|---|---|")
    print(*used, sep="\n")
    print("\n| collection | error | files |\n|---|---|---|")
    for (collection, message), files in refused.items():
        print(f"| {collection} | {_cell(message)} | {', '.join(f'`{file}`' for file in files)} |")
    raise SystemExit(
        int(any("**" in line for line in (*used, *(file for files in refused.values() for file in files))))
    )


def _bare(message: str, file: str) -> str:
    return re.sub(rf"^{re.escape(file)}(:\d+)?: ", "", message)


def _unpack(data: Path, collection: str) -> None:
    if not Path(collection).exists():
        with tarfile.open(data / f"{collection}.tar.xz") as opened:
            opened.extractall(Path(), filter="data")


def _line(file: str, rows: int | None, told: Inspected) -> str:
    with tempfile.TemporaryDirectory() as name:
        layers = Layers.open(f"file://{name}/{{layer}}")
        layers.ensure()
        manifest, originals, _ = ingest([file], layers.raw)
        spec = TransformationSpec(behaviour=False)
        stores = (layers.raw, layers.silver, Path(name))
        _, silver = transform(originals, manifest, *stores, dataset="formats", spec=spec)
    (original,) = originals
    kind = f"{original.format}, {original.variant}" + ("" if original.compression == "none" else ", compressed")
    happened = (silver.read, silver.kept, silver.quarantined, silver.skipped, silver.labels)
    if (told.read, told.kept, told.rejected, told.skipped, told.labels) != happened:
        kind += f", **inspect: {told.read:,} read, {told.kept:,} kept**"
    counts = f"{silver.read:,} | {silver.kept:,} | {_counts(silver.quarantined)} | {_counts(silver.skipped)}"
    known = "-" if rows is None else f"{rows:,}"
    return f"| `{file}` | {kind} | {known} | {counts} | {_counts(silver.labels)} |"


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{_cell(name)} {count:,}" for name, count in ordered[:LABELS_SHOWN]]
    rest = ordered[LABELS_SHOWN:]
    if rest:
        shown.append(f"{len(rest)} more {sum(count for _, count in rest):,}")
    return ", ".join(shown) or "-"


def _cell(text: str) -> str:
    return re.sub(r" \([^()]*, \.\.\.\)", "", text).replace("|", "\\|")


if __name__ == "__main__":
    main()
