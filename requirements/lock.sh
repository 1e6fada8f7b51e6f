#!/usr/bin/env bash
# Re-locks every requirement file with hashes and without the name of an index. `make lock` calls it, with the uv of .venv.
# One resolution for Python 3.11 to 3.13, so that a bundle made on one of them loads on the others.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { # name, then what to lock
    local name=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --constraint "requirements/${constraints:-constraints}.txt" "$@" --output-file "requirements/$name.txt"
}
lock uv --group pyproject.toml:uv
lock run pyproject.toml --group build
constraints=constraints-prefect2 lock prefect2 pyproject.toml --group build --group test
lock mlflow pyproject.toml --group build --extra mlflow
lock dev pyproject.toml --extra dask --extra mlflow --extra pcap --extra stack --group build --group services --group test --group check
lock fuzz --group pyproject.toml:fuzz
