"""Requests that schemathesis makes up from a served OpenAPI document, and what must come of each.

Schemathesis draws parameters and bodies. So that requests get further than the first check, many of them speak of
objects that exist, and many bodies are good objects with one part replaced.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from cloudcore.apiserver.kinds import builtin_kinds
from protocol.objects.keys import Body

_REASONABLE: Final = {501: "NotImplemented", 504: "Timeout"}
"""Server errors that are answers: what is not built, and a resourceVersion of the future (as Kubernetes has it)."""
_JUNK: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "x",
    "\x00",
    "ä" * 70,
    "1e400",
    "../..",
    [],
    [None],
    {},
    {"": None},
)
_ACCEPTS: Final = (
    "application/json",
    "application/json",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf, */*",
)
_TIMEOUT_S: Final = 30.0
REQUESTS_A_CASE: Final = 5
"""Drawing a case costs far more than sending it: each is sent in several variations."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the server is, and who asks."""

    url: str
    authority: Path
    certificate: Path
    key: Path

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.authority)
        session.cert = (str(self.certificate), str(self.key))
        return session


def create(credentials: Credentials, resource: str, body: Body) -> Body:
    """Create an object of a built-in kind in ``default``, unless it is there, and return it as something to send."""
    kind = builtin_kinds().of(resource)
    root = f"/apis/{kind.api_version}" if kind.group else "/api/v1"
    path = f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    with credentials.session() as session:
        answer = session.post(credentials.url + path, json=body)
        if answer.status_code == 409:
            answer = session.get(f"{credentials.url}{path}/{body['metadata']['name']}")
    answer.raise_for_status()
    stored: Body = answer.json()
    for name in ("resourceVersion", "managedFields"):
        stored["metadata"].pop(name, None)
    return stored


@dataclass(slots=True)
class Report:
    """What came of the requests."""

    sent: int = 0
    operations: int = 0
    by_code: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def drive(credentials: Credentials, document: str, samples: Mapping[str, Body], *, examples: int, start: int) -> Report:
    """Draw ``examples`` cases for each operation of a document, and send some requests for each.

    Args:
        credentials: Where to, and as whom.
        document: The document's path: ``/openapi/v3/apis/apps/v1``.
        samples: A good object of each kind, by its plural; they exist on the server.
        examples: How many for each operation.
        start: The seed.
    """
    report = Report()
    with credentials.session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(session.get(credentials.url + document).json())
        for found in schema.get_all_operations():
            report.operations += 1
            requester = _Requester(session, credentials.url, samples, report)
            assert isinstance(found, Ok), found
            _send_all(found.ok(), requester, examples, start)
    return report


def _send_all(operation: Any, requester: _Requester, examples: int, start: int) -> None:
    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), whim=st.integers(0, 2**32 - 1))
    def send(case: Any, whim: int) -> None:
        for turn in range(REQUESTS_A_CASE):
            requester.send(case, Random(f"{operation.label} {whim} {turn}"))

    send()


@dataclass(slots=True)
class _Requester:
    session: requests.Session
    url: str
    samples: Mapping[str, Body]
    report: Report

    def send(self, case: Any, rng: Random) -> None:
        """Send a case and judge the answer."""
        method = case.method.upper()
        sample = self.samples.get(_plural(case.path), {})
        path = case.path
        for name, value in case.path_parameters.items():
            present = {"namespace": "default", "name": (sample.get("metadata") or {}).get("name", "none")}
            chosen = present[name] if rng.random() < 0.95 else str(value)
            path = path.replace(f"{{{name}}}", quote(chosen, safe=""))
        query = _query(dict(case.query or {}), rng)
        if method == "DELETE" and rng.random() < 0.97:
            query["dryRun"] = "All"  # so that most of what the others speak of stays
        headers = {"Accept": rng.choice(_ACCEPTS)}
        body = None
        if method in {"POST", "PUT", "PATCH"}:
            headers["Content-Type"] = case.media_type if method == "PATCH" else "application/json"
            body = json.dumps(_body(case, headers["Content-Type"], sample, rng)).encode()
        answer = self.session.request(
            method, self.url + path, params=query, headers=headers, data=body, timeout=_TIMEOUT_S
        )
        self.report.sent += 1
        code = answer.status_code
        self.report.by_code[code] = self.report.by_code.get(code, 0) + 1
        trouble = _trouble(answer, method)
        if trouble:
            shown = (body or b"")[:2000]
            self.report.wrong.append(f"{method} {path} {query} {headers} {shown!r}\n  -> {code} {trouble}")


def _plural(path: str) -> str:
    parts = [part for part in path.split("/") if part and not part.startswith("{")]
    at = 2 if parts[0] == "api" else 3
    rest = [part for part in parts[at:] if part != "namespaces"] or ["namespaces"]
    return rest[0]


def _query(query: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Return query parameters that end a watch soon, and leave most of the junk out."""
    kept = {name: value for name, value in query.items() if rng.random() < 0.4}
    if "watch" in kept:
        if rng.random() < 0.9:
            del kept["watch"]
        else:
            kept |= {"watch": "1", "timeoutSeconds": "1"}
    if "gracePeriodSeconds" in kept and rng.random() < 0.7:
        kept["gracePeriodSeconds"] = rng.choice(["0", "1", "-1"])
    return kept


def _body(case: Any, media_type: str, sample: Body, rng: Random) -> Any:
    drawn = case.body
    if not isinstance(drawn, dict | list):
        drawn = {}
    if media_type == "application/json-patch+json":
        return _json_patch(sample, rng) if rng.random() < 0.9 else drawn
    if not sample or rng.random() < 0.3:
        return _addressed(drawn, sample, rng)
    body = deepcopy(sample)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _replace(body, drawn, rng)
    return body


def _addressed(drawn: Any, sample: Body, rng: Random) -> Any:
    """Return a drawn object under the kind and name that the request speaks of, most of the time."""
    if not isinstance(drawn, dict) or rng.random() < 0.2:
        return drawn
    metadata = drawn.get("metadata")
    name = (sample.get("metadata") or {}).get("name", "a")
    drawn = {**drawn, "metadata": {**(metadata if isinstance(metadata, dict) else {}), "name": name}}
    drawn["metadata"].pop("namespace", None)
    return {**drawn, **{key: sample[key] for key in ("apiVersion", "kind") if key in sample}}


def _replace(body: Any, drawn: Any, rng: Random) -> None:
    """Replace one part of ``body``: by what was drawn for it, or by junk; or add one."""
    places = list(_places(body, drawn))
    if not places:
        return
    node, key, other = rng.choice(places)
    if isinstance(node, dict) and isinstance(other, dict) and other and rng.random() < 0.3:
        added = rng.choice(list(other))
        node[added] = other[added]
    elif isinstance(other, dict) and key in other and rng.random() < 0.4:
        node[key] = other[key]
    else:
        node[key] = deepcopy(rng.choice(_JUNK))


def _places(node: Any, drawn: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (container, key, what was drawn beside it) of every part of an object."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    for key in keys:
        yield node, key, drawn
        below = drawn.get(key) if isinstance(drawn, dict) else None
        yield from _places(node[key], below)


def _json_patch(sample: Body, rng: Random) -> list[Body]:
    steps = []
    for _ in range(rng.choice((1, 1, 2, 5))):
        path = rng.choice(list(_pointers(sample, "")) or ["/metadata"])
        step: Body = {"op": rng.choice(("add", "remove", "replace", "test", "move", "copy", "jump")), "path": path}
        if rng.random() < 0.8:
            step["value"] = deepcopy(rng.choice(_JUNK))
        if rng.random() < 0.5:
            step["from"] = rng.choice(list(_pointers(sample, "")) or [""])
        steps.append(step)
    return steps


def _pointers(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, list):
        items = [(str(at), item) for at, item in enumerate(node)]
        yield f"{path}/-"
    else:
        items = []
    for key, item in items:
        below = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
        yield below
        yield from _pointers(item, below)


def _trouble(answer: requests.Response, method: str) -> str:
    """Return what is wrong with an answer; empty when nothing is."""
    code = answer.status_code
    if code < 400:
        return ""
    if method == "HEAD":
        return "" if code < 500 else answer.reason
    try:
        status = answer.json()
    except ValueError:
        return f"no Status: {answer.text[:300]}"
    if not isinstance(status, dict) or (status.get("kind"), status.get("code")) != ("Status", code):
        return f"no Status of its code: {answer.text[:300]}"
    if code >= 500 and _REASONABLE.get(code) != status.get("reason"):
        return f"{status.get('reason')}: {status.get('message')}"
    return "" if status.get("message") else "a Status without a message"
