"""What the files of a folder amount to: which are read when, what of them counts, what is wrong. Performs no I/O.

A file is read once two looks in a row have found it unchanged, or the first look found it old: one that is being
written is not taken half. A file that is wrong keeps what it said before, until it is mended or removed; what it
said before is written down, so that this holds across restarts too. Only a file that is gone takes its pods with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgecore.statics.documents import ManifestError, read_pods
from edgecore.statics.manifests import named_twice, static_pod
from protocol.objects.keys import Body, NodeName

MAX_FILES: Final = 500
ENDINGS: Final = (".yaml", ".yml", ".json")
"""What a manifest's name ends in; editors' copies (``web.yaml~``, ``.web.yaml.swp``, ``web.yaml.tmp``) do not."""
OLD_S: Final = 1.0
"""A file that was last written so long ago is not being written."""

Signature = tuple[int, ...]
"""What tells one version of a file from another."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file as a look found it.

    Attributes:
        signature: Which version it is.
        age_s: Seconds since it was last touched; negative where the clock went back.
    """

    signature: Signature
    age_s: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one file.

    Attributes:
        signature: The version that was read last.
        seen: When that was first seen, a Kubernetes timestamp.
        pods: What the last good version says, as it stands there.
        problem: What is wrong with the version that was read last; empty where nothing is.
    """

    signature: Signature
    seen: str
    pods: Sequence[Body]
    problem: str = ""


def is_manifest(name: str) -> bool:
    """Tell whether a file of this name is looked at."""
    return name.endswith(ENDINGS) and not name.startswith((".", "#"))


class Catalogue:
    """The manifests of one folder.

    Args:
        node: This node.
        folder: The folder's absolute path, a part of its pods' uids.

    Attributes:
        trouble: What is wrong with the folder itself; empty where nothing is.
    """

    def __init__(self, node: NodeName, folder: str) -> None:
        self._node = node
        self._folder = folder
        self._files: dict[str, Manifest] = {}
        self._glimpsed: dict[str, Signature] = {}
        self._clashes: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self.trouble = ""

    def due(self, sightings: Mapping[str, Sighting]) -> list[str]:
        """Take a look at the folder and return the files to be read now, in order."""
        names = sorted(sightings)
        self.trouble = f"only the first {MAX_FILES} of {len(names)} files are read" if len(names) > MAX_FILES else ""
        fresh = {}
        due = []
        for name in names[:MAX_FILES]:
            sighting, known = sightings[name], self._files.get(name)
            if known is not None and known.signature == sighting.signature:
                continue
            if self._glimpsed.get(name) == sighting.signature or sighting.age_s >= OLD_S:
                due.append(name)
            else:
                fresh[name] = sighting.signature
        self._glimpsed = fresh
        return due

    @property
    def empty(self) -> bool:
        """Whether no file is known."""
        return not self._files

    def gone(self, sightings: Mapping[str, Sighting]) -> bool:
        """Forget the files that are no more; tell whether there were any."""
        missing = [name for name in self._files if name not in sightings]
        for name in missing:
            del self._files[name]
        self._unread = {name: why for name, why in self._unread.items() if name in sightings}
        return bool(missing)

    def read(self, name: str, signature: Signature, content: bytes, *, at: str) -> None:
        """Take in a file's content; ``at`` is the current time, a Kubernetes timestamp."""
        before = self._files.get(name)
        self._unread.pop(name, None)
        try:
            manifests = read_pods(name, content)
            self._complete(name, manifests, at)
        except ManifestError as error:
            self._files[name] = Manifest(
                signature, before.seen if before else at, before.pods if before else (), str(error)
            )
            return
        same = before is not None and list(before.pods) == manifests
        self._files[name] = Manifest(signature, before.seen if before is not None and same else at, manifests)

    def unread(self, name: str, why: str) -> None:
        """Note that a file cannot be read now; it is tried again."""
        self._unread[name] = why

    def pods(self) -> list[Body]:
        """Return the pods of all files; of two with one name, that of the file that comes first."""
        taken: dict[tuple[str, str], str] = {}
        pods: list[Body] = []
        self._clashes = {}
        for name, manifest in sorted(self._files.items()):
            try:
                complete = self._complete(name, manifest.pods, manifest.seen)
                named_twice(complete, taken, name)
            except ManifestError as error:
                self._clashes[name] = str(error)
                continue
            pods += complete
        return pods

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by file; of the folder itself under an empty name. As of the last :meth:`pods`."""
        wrong = {name: manifest.problem for name, manifest in self._files.items() if manifest.problem}
        return ({"": self.trouble} if self.trouble else {}) | self._clashes | wrong | self._unread

    def _complete(self, name: str, manifests: Iterable[Body], seen: str) -> list[Body]:
        path = f"{self._folder}/{name}"
        pods = [static_pod(each, node=self._node, path=path, seen=seen) for each in manifests]
        named_twice(pods, {}, name)
        return pods

    def state(self) -> dict[str, Any]:
        """Return what the next agent should know, as JSON has it."""
        files = {
            name: {
                "signature": list(each.signature),
                "seen": each.seen,
                "pods": list(each.pods),
                "problem": each.problem,
            }
            for name, each in self._files.items()
        }
        return {"node": self._node, "folder": self._folder, "trouble": self.trouble, "files": files}

    def restore(self, state: Any) -> None:
        """Take over what an earlier agent knew; what cannot be used of it, or is about other pods, is passed over."""
        if not isinstance(state, dict) or (state.get("node"), state.get("folder")) != (self._node, self._folder):
            return
        files = state.get("files")
        self.trouble = str(state.get("trouble") or "")
        for name, each in files.items() if isinstance(files, dict) else ():
            try:
                known = Manifest(tuple(map(int, each["signature"])), str(each["seen"]), list(each["pods"]))
                self._complete(name, known.pods, known.seen)
            except (KeyError, TypeError, ValueError, AttributeError, ManifestError):
                continue  # it is read again
            self._files[name] = Manifest(known.signature, known.seen, known.pods, str(each.get("problem") or ""))


def catalogue_of(state: Any) -> Catalogue | None:
    """Return the catalogue that an agent has written down; None where it cannot be read."""
    node, folder = (state.get("node"), state.get("folder")) if isinstance(state, dict) else (None, None)
    if not isinstance(node, str) or not isinstance(folder, str):
        return None
    catalogue = Catalogue(NodeName(node), folder)
    catalogue.restore(state)
    return catalogue
