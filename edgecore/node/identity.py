"""Who this node is, in files beside the meta database so that it survives the loss of that.

::

    <data folder>/            0711: pods that run as another user must get to their own folders
      identity.json           name, instance id, where the hub is; 0600, as all files here
      instance                the instance id, minted before the first join and never changed
      agent.lock              held while an agent runs
      link.json               what the agent last knew of its link
      agent.sock              where the running agent tells what only it knows
      standalone.json         the node's name, where it runs without ever having joined
      manifests/              static pods' files, unless they lie elsewhere
      static.json             what the agent has read of them
      clock.json              the time that has certainly come
      traffic.json            bytes of the link on the last day, as of some minutes ago
      pki/                    0700
        node.key              ECDSA P-256
        node.crt ca.crt
      meta/meta.db            the meta store; 0700
      pods/ docker/ volumes/  the runtimes' and the pods' own
      metaserver/             its keys, and the administrator's kubeconfig; 0700
      tokens/                 the tokens of pods' service accounts, a file per pod; 0700
      twins/twins.db          devices' twins and the log of their reports; 0700
      writes/                 pods' writes that wait for the cloud, and those it refused; 0700
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from protocol.errors import UsageError
from protocol.files import write_file
from protocol.objects.keys import NodeName

_NODE_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """What joining has settled.

    Attributes:
        node: The node's name.
        instance: The instance id that the cloud has pinned to that name.
        server: The enrolment URL that was joined.
        hub: Hub addresses by transport (``websocket``), to be tried in order.
        runtimes: Names of the runtimes this node offers, the default one first.
        labels: Labels asked for at join.
    """

    node: NodeName
    instance: str
    server: str
    hub: Mapping[str, tuple[str, ...]]
    runtimes: tuple[str, ...] = ("process",)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Names the files of a data folder."""

    root: Path

    @property
    def identity(self) -> Path:
        """What joining has settled."""
        return self.root / "identity.json"

    @property
    def standalone(self) -> Path:
        """The node's name, where it runs without having joined."""
        return self.root / "standalone.json"

    @property
    def manifests(self) -> Path:
        """The default folder of static pods' files."""
        return self.root / "manifests"

    @property
    def static_pods(self) -> Path:
        """What the agent has read of static pods' files."""
        return self.root / "static.json"

    @property
    def instance(self) -> Path:
        """The instance id alone: it is minted before the first attempt to join."""
        return self.root / "instance"

    @property
    def key(self) -> Path:
        """The node's private key."""
        return self.root / "pki" / "node.key"

    @property
    def certificate(self) -> Path:
        """The node's certificate."""
        return self.root / "pki" / "node.crt"

    @property
    def authority(self) -> Path:
        """The cluster's CA certificate."""
        return self.root / "pki" / "ca.crt"

    @property
    def meta(self) -> Path:
        """The meta database."""
        return self.root / "meta" / "meta.db"

    @property
    def twins(self) -> Path:
        """Devices' twins and the log of their reports."""
        return self.root / "twins" / "twins.db"

    @property
    def lock(self) -> Path:
        """Locked while an agent runs on this folder; holds its pid."""
        return self.root / "agent.lock"

    @property
    def link(self) -> Path:
        """What the agent last knew of its link, for ``edgecore status``."""
        return self.root / "link.json"

    @property
    def live(self) -> Path:
        """The socket on which the running agent tells what only it knows."""
        return self.root / "agent.sock"

    @property
    def traffic(self) -> Path:
        """Bytes of the link on the last day."""
        return self.root / "traffic.json"

    @property
    def clock(self) -> Path:
        """The time that has certainly come."""
        return self.root / "clock.json"

    @property
    def pods(self) -> Path:
        """The process runtime's folder."""
        return self.root / "pods"

    @property
    def docker(self) -> Path:
        """The Docker runtime's folder."""
        return self.root / "docker"

    @property
    def volumes(self) -> Path:
        """The folder of the pods' volumes and notes."""
        return self.root / "volumes"

    @property
    def metaserver(self) -> Path:
        """The folder of the metaserver's keys, and of the administrator's kubeconfig."""
        return self.root / "metaserver"

    @property
    def tokens(self) -> Path:
        """The folder of the tokens of pods' service accounts."""
        return self.root / "tokens"

    @property
    def writes(self) -> Path:
        """The folder of pods' writes that wait for the cloud."""
        return self.root / "writes"

    def make(self) -> None:
        """Make the folder itself where it is missing.

        Raises:
            UsageError: It cannot be made, or is not a folder one can write to.
        """
        try:
            self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot use {self.root} as data folder: {error.strerror or error}") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise UsageError(f"cannot use {self.root} as data folder: no permission to write there")


def load_identity(folder: DataFolder) -> Identity:
    """Return what joining has settled.

    Raises:
        UsageError: The folder has not been joined, or its identity cannot be read.
    """
    try:
        stored = json.loads(folder.identity.read_text())
        hub = {transport: tuple(urls) for transport, urls in stored["hub"].items()}
        return Identity(
            node=NodeName(stored["node"]),
            instance=stored["instance"],
            server=stored["server"],
            hub=hub,
            runtimes=tuple(stored["runtimes"]),
            labels=dict(stored["labels"]),
        )
    except FileNotFoundError:
        raise UsageError(f"{folder.root} has not joined a cloud yet: run `edgecore join` first") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"cannot read {folder.identity}: {error!r}; join again to make it anew") from error


def known_identity(folder: DataFolder) -> Identity:
    """Return what joining has settled, or else who the node is that runs without having joined.

    Raises:
        UsageError: It is neither, or cannot be read.
    """
    if not folder.identity.exists() and folder.standalone.exists():
        return _standalone(folder, _recorded_name(folder))
    return load_identity(folder)


def offline_identity(folder: DataFolder, name: str) -> Identity:
    """Return who the node is where it need not have joined; a name that is new is written down.

    Args:
        folder: The data folder.
        name: The node's name; empty for the one known already.

    Raises:
        UsageError: The name is not one, is not that under which it has joined, or is not known; or the folder cannot be
            used.
    """
    if folder.identity.exists():
        joined = load_identity(folder)
        check_name(joined, name)
        return joined
    recorded = _recorded_name(folder) if folder.standalone.exists() else ""
    name = name or recorded
    if not name:
        raise UsageError(f"{folder.root} has not joined a cloud: give the node a name with --node-name")
    if not _NODE_NAME.fullmatch(name):
        raise UsageError(f"--node-name {name!r}: small letters, digits, '-' and '.', 253 characters at most")
    folder.make()
    if name != recorded or not folder.instance.exists():
        try:
            own_instance(folder)
            write_private(folder.standalone, json.dumps({"node": name}).encode())
        except OSError as error:
            raise UsageError(f"cannot use {folder.root} as data folder: {error.strerror or error}") from error
    return _standalone(folder, name)


def own_instance(folder: DataFolder) -> str:
    """Return the folder's instance id; it is minted before anything else and never changes, also when it joins.

    Raises:
        OSError: The folder cannot be read, or does not take it.
    """
    if folder.instance.exists():
        return folder.instance.read_text().strip()
    instance = str(uuid.uuid4())
    write_private(folder.instance, instance.encode())
    return instance


def check_name(identity: Identity, name: str) -> None:
    """Check a name that was given for a node that has one.

    Raises:
        UsageError: It is another.
    """
    if name and name != identity.node:
        raise UsageError(f"--node-name {name!r}: this device has joined as node {identity.node}")


def _standalone(folder: DataFolder, name: str) -> Identity:
    try:
        return Identity(NodeName(name), instance=own_instance(folder), server="", hub={})
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {folder.instance}: {error}") from error


def _recorded_name(folder: DataFolder) -> str:
    try:
        return str(json.loads(folder.standalone.read_text())["node"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"cannot read {folder.standalone}: {error!r}; remove it, and give --node-name") from error


def save_identity(folder: DataFolder, identity: Identity) -> None:
    """Store what joining has settled; all or nothing.

    Raises:
        OSError: The folder does not take it.
    """
    write_private(folder.identity, json.dumps(asdict(identity), indent=1).encode())


def write_private(path: Path, content: bytes) -> None:
    """Replace the file at ``path`` (mode 0600, its folder 0700) in one step that survives a power cut.

    Raises:
        OSError: It could not be written; what was there before still is.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, content)
