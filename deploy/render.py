"""Render the Helm chart without a Helm binary and without a cluster, and write the plain manifests of deploy/k8s.

The engine is Helm's own Go code, from the package `helm-sdkpy` (its wheel asks for Python 3.12; on 3.11 it works when
installed with ``pip install --ignore-requires-python``). That library has no ``helm template``, only ``install``: so it
installs into an API server that this file plays on loopback, which has nothing, takes everything and keeps nothing.

    python deploy/render.py          writes them
    python deploy/render.py --check  fails when they are not what the chart renders
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

DEPLOY: Final = Path(__file__).resolve().parent
CHART: Final = DEPLOY / "helm" / "cybersec-mlops"
PLAIN: Final = DEPLOY / "k8s"
RELEASE: Final = "cybersec-mlops"
NAMESPACE: Final = "mlops"
PLAIN_VALUES: Final[Mapping[str, Any]] = {"job": {"name": "cybersec-mlops-run"}}
"""What the plain manifests differ in from the chart's defaults: a name that does not count revisions."""

MADE: Final = "# Made from deploy/helm/cybersec-mlops by `python deploy/render.py`: change the chart, not this file.\n"

_SOURCE: Final = re.compile(r"^# Source: [^/]+/templates/(?P<name>[\w-]+\.yaml)\n", re.MULTILINE)


@dataclass(frozen=True)
class Rendered:
    """What Helm made of a chart."""

    documents: dict[str, str]
    """Template file to YAML text, hooks included; templates that rendered to nothing are absent."""
    notes: str


def render(values: Mapping[str, Any] | None = None, *, kube_minor: int = 34) -> Rendered:
    """Render the chart as ``helm install cybersec-mlops --namespace mlops`` would.

    Parameters
    ----------
    values : mapping, optional
        What to set over the chart's defaults.
    kube_minor : int
        The version 1.x that the cluster pretends to be.

    Raises
    ------
    ImportError
        `helm-sdkpy` is not installed.
    helm_sdkpy.exceptions.InstallError
        The values break the schema, or a template fails.
    """
    import asyncio

    import helm_sdkpy  # type: ignore[import-not-found,unused-ignore]

    with _pretended_cluster(kube_minor) as kubeconfig:
        install = helm_sdkpy.Install(helm_sdkpy.Configuration(namespace=NAMESPACE, kubeconfig=kubeconfig))
        release = asyncio.run(install.run(RELEASE, str(CHART), values=dict(values or {}), wait=False, timeout=20))
    texts = [release.get("manifest", ""), *(_hook_text(hook) for hook in release.get("hooks") or [])]
    return Rendered(_split("\n---\n".join(texts)), release["info"].get("notes", ""))


def lint() -> list[str]:
    """Return what ``helm lint`` finds in the chart."""
    import asyncio

    import helm_sdkpy  # type: ignore[import-not-found,unused-ignore]

    with _pretended_cluster(34) as kubeconfig:
        configuration = helm_sdkpy.Configuration(namespace=NAMESPACE, kubeconfig=kubeconfig)
        result = asyncio.run(helm_sdkpy.Lint(configuration).run(str(CHART)))
    return [str(message) for message in result.get("Messages") or []]


def plain_manifests() -> dict[str, str]:
    """Return file name to text of what belongs into deploy/k8s."""
    head = f"{MADE}# chart sha256:{chart_digest()}\n"
    return {name: head + text for name, text in sorted(render(PLAIN_VALUES).documents.items())}


def written_manifests() -> dict[str, str]:
    """Return file name to text of what was made from the chart and is in deploy/k8s now."""
    texts = {path.name: path.read_text() for path in sorted(PLAIN.glob("*.yaml"))}
    return {name: text for name, text in texts.items() if text.startswith(MADE)}


def chart_digest() -> str:
    """Hash all that the plain manifests are made of, so that a stale one is seen where Helm's engine is absent."""
    digest = hashlib.sha256(json.dumps(PLAIN_VALUES, sort_keys=True).encode())
    for path in sorted(CHART.rglob("*")):
        if path.is_file() and path.name not in ("NOTES.txt", "README.md", "values.schema.json"):
            digest.update(f"{path.relative_to(CHART).as_posix()}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _hook_text(hook: Mapping[str, Any]) -> str:
    return f"# Source: {hook['path']}\n{hook['manifest']}"


def _split(manifest: str) -> dict[str, str]:
    documents: dict[str, str] = {}
    for part in re.split(r"^---\s*$", manifest, flags=re.MULTILINE):
        found = _SOURCE.search(part)
        if found and (text := re.sub(r"[ \t]+$", "", _SOURCE.sub("", part), flags=re.MULTILINE).strip()):
            name = found["name"]
            documents[name] = f"{documents[name]}---\n{text}\n" if name in documents else f"{text}\n"
    return documents


class _ApiServer(BaseHTTPRequestHandler):
    """As much of Kubernetes' API as an installation asks for; every Job that it is given is at once complete."""

    protocol_version = "HTTP/1.1"
    minor: ClassVar[int]
    objects: ClassVar[dict[str, dict[str, Any]]]
    """Path to what was created there."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        plural = path.rpartition("/")[2]
        known = _DISCOVERY | {"/version": {"major": "1", "minor": str(self.minor), "gitVersion": f"v1.{self.minor}.0"}}
        if path.rstrip("/") in known:
            self._answer(200, known[path.rstrip("/")])
        elif path in self.objects:
            self._answer(200, self.objects[path])
        elif plural in _KINDS and "watch=" in query:
            self._watch(path)
        elif plural in _KINDS:
            version, kind = _KINDS[plural]
            head = {"apiVersion": version, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}}
            self._answer(200, {**head, "items": self._below(path)})
        else:
            self._not_found()

    def do_POST(self) -> None:
        body = self._body()
        if not body.startswith(b"{"):  # the release's own record, as protobuf
            self._send(201, self.headers["Content-Type"], body)
            return
        made = json.loads(body)
        made["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000", "resourceVersion": "1", "generation": 1}
        if made["kind"] == "Job":
            made["status"] = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
        self.objects[f"{self.path.partition('?')[0]}/{made['metadata']['name']}"] = made
        self._answer(201, made)

    def do_PUT(self) -> None:
        self._send(200, self.headers["Content-Type"], self._body())

    def do_DELETE(self) -> None:
        self._body()
        if (found := self.objects.pop(self.path.partition("?")[0], None)) is None:
            self._not_found()
        else:
            self._answer(200, found)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        del format, args

    def _watch(self, path: str) -> None:
        """Tell what there is, then nothing until the watcher goes: all that it waits for has already happened."""
        version, kind = _KINDS[path.rpartition("/")[2]]
        events = [{"type": "ADDED", "object": found} for found in self._below(path)]
        mark = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
        events.append({"type": "BOOKMARK", "object": {"apiVersion": version, "kind": kind, "metadata": mark}})
        data = "".join(json.dumps(event) + "\n" for event in events).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.rfile.read(1)
        self.close_connection = True

    def _below(self, path: str) -> list[dict[str, Any]]:
        return [found for at, found in self.objects.items() if at.rpartition("/")[0] == path]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def _not_found(self) -> None:
        self._answer(
            404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        )

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


_RESOURCES: Final = {
    "v1": {"ConfigMap": "configmaps", "Secret": "secrets", "ServiceAccount": "serviceaccounts", "Pod": "pods"},
    "batch/v1": {"Job": "jobs", "CronJob": "cronjobs"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
}
_KINDS: Final = {plural: (version, kind) for version, kinds in _RESOURCES.items() for kind, plural in kinds.items()}


def _discovery() -> dict[str, Mapping[str, Any]]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    answers: dict[str, Mapping[str, Any]] = {"/api": {"kind": "APIVersions", "versions": ["v1"]}}
    groups, schemas = [], {}
    for version, kinds in _RESOURCES.items():
        group, _, plain = version.rpartition("/")
        root = f"api{'s' if group else ''}/{version}"
        resources = [
            {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}
            for kind, plural in kinds.items()
        ]
        answers[f"/{root}"] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        answers[f"/openapi/v3/{root}"] = _checks_fields_itself(root, group, plain, kinds)
        schemas[root] = {"serverRelativeURL": f"/openapi/v3/{root}"}
        if group:
            at = {"groupVersion": version, "version": plain}
            groups.append({"name": group, "versions": [at], "preferredVersion": at})
    answers["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    answers["/openapi/v3"] = {"paths": schemas}
    return answers


def _checks_fields_itself(root: str, group: str, version: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Describe an API that checks the fields of what it is given, so that Helm leaves that to it."""
    paths = {
        f"/{root}/namespaces/{{namespace}}/{plural}/{{name}}": {
            "patch": {
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "responses": {},
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            }
        }
        for kind, plural in kinds.items()
    }
    return {"openapi": "3.0.0", "info": {"title": "pretended", "version": "1"}, "paths": paths}


_DISCOVERY: Final = _discovery()


@contextmanager
def _pretended_cluster(minor: int) -> Iterator[str]:
    handler = type("_Cluster", (_ApiServer,), {"minor": minor, "objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield _kubeconfig(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _kubeconfig(port: int) -> str:
    return f"""\
apiVersion: v1
kind: Config
current-context: pretended
clusters: [{{name: pretended, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
contexts: [{{name: pretended, context: {{cluster: pretended, user: pretended}}}}]
users: [{{name: pretended, user: {{}}}}]
"""


def main(arguments: list[str] | None = None) -> int:
    """Write or check deploy/k8s; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not up to date")
    check = parser.parse_args(arguments).check
    wanted = plain_manifests()
    found = written_manifests()
    if check:
        stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        print("\n".join(f"{PLAIN / name} is not what the chart renders" for name in stale) or "up to date")  # noqa: T201
        return 1 if stale else 0
    PLAIN.mkdir(parents=True, exist_ok=True)
    for name in found.keys() - wanted.keys():
        (PLAIN / name).unlink()
    for name, text in wanted.items():
        (PLAIN / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
