"""Which code runs: part of every phase's key, so that a result is never reused by other code."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import cybersec_mlops
from cybersec_mlops.config import Settings
from cybersec_mlops.ingestion.plugins import plugin_versions

RESULT_SHAPING: Final = ("numpy", "polars", "scikit-learn", "xgboost-cpu")
"""Distributions whose version can change a number."""
METER: Final = "nfstream"
"""The optional one: what meters captures."""


@cache
def code_version() -> str:
    """Return the package's version and a hash of its code, of the libraries that shape results and of plug-ins.

    Returns
    -------
    str
        Such as ``0.1.0+1f2e3d4c5b6a``; the same for the same files wherever they are installed.
    """
    digest = hashlib.sha256()
    root = Path(cybersec_mlops.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".j2", ".css"} and path.is_file():
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for name, number in _versions().items():
        digest.update(f"{name}=={number}\n".encode())
    for plugin in plugin_versions():
        digest.update(f"{plugin}\n".encode())
    return f"{cybersec_mlops.__version__}+{digest.hexdigest()[:12]}"


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in RESULT_SHAPING}
    with contextlib.suppress(PackageNotFoundError):
        found[METER] = version(METER)
    return found


def git_commit(settings: Settings) -> str | None:
    """Return the commit that runs: the environment's, else the one of the checkout that the code is in.

    ``-dirty`` stands behind it where a file of the checkout was changed since. An image has no checkout: it is built
    with the variable set. None where neither tells.
    """
    return settings.git_commit or _commit_of_checkout(Path(cybersec_mlops.__file__).parent)


@cache
def _commit_of_checkout(folder: Path) -> str | None:
    """Ask git, but only where these files are git's: a package installed somewhere in another checkout is not."""
    if not any((parent / ".git").exists() for parent in folder.parents):
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        return _git(folder, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    return None


def _git(folder: Path, *arguments: str) -> str:
    command = ("git", "-C", str(folder), *arguments)
    done = subprocess.run(command, capture_output=True, check=True, timeout=5, text=True)
    return done.stdout.strip()


def code_facts(settings: Settings) -> dict[str, str]:
    """Return what the report says of the code: version, libraries, commit and image where the environment says."""
    named = {"version": code_version(), "commit": git_commit(settings), "image": settings.image_digest}
    facts = {name: value for name, value in named.items() if value} | _versions()
    return facts | ({"plug-ins": ", ".join(plugin_versions())} if plugin_versions() else {})
