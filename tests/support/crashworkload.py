"""What a device that crashes again and again is asked to run, and what is right of it afterwards.

Servers are to run for ever, jobs once: each says in a journal beside the device's disk when it starts and ends, so that
a job that ran twice, or a server that ran twice at once, shows whatever became of the device's own records.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from cloudcore.errors import AlreadyExists, NotFound
from edgecore.node.identity import DataFolder
from examples.demo.processes import Edge
from protocol.files import write_file
from protocol.objects.keys import Body, Uid
from tests.support.clusters import Cluster, config_map, container_status, pod, pod_processes

NAMES: Final = tuple(f"p{number}" for number in range(7))
SETTINGS: Final = "settings"
MIRROR: Final = "kubernetes.io/config.mirror"
FINAL: Final = ("Succeeded", "Failed")
UNSEEN_S: Final = 1.0
"""A job that ended so shortly before a crash may be one whose end nobody saw."""
LOST: Final = "ContainerStatusUnknown"


@dataclass
class Asked:
    """A pod that the API has taken.

    Attributes:
        uid: Its uid.
        key: Names its journal.
        code: The exit code of a job; None of a server.
        phase: The final phase it was once seen in.
    """

    uid: Uid
    key: str
    code: int | None
    phase: str = ""


@dataclass
class Workload:
    """Asks for things, and judges.

    Args:
        cluster: The cloud.
        edge: The device.
        journal: A folder that loses nothing.
        rng: What decides.
    """

    cluster: Cluster
    edge: Edge
    journal: Path
    rng: Random
    asked: dict[str, Asked] = field(default_factory=dict)
    crashes: list[float] = field(default_factory=list)
    version: int = 0
    made: int = 0
    lost: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        """Make what is there from the start."""
        self.journal.mkdir()
        await self.cluster.api.create("configmaps", config_map(SETTINGS, version="0"))
        manifests = DataFolder(self.edge.data_dir).manifests
        manifests.mkdir()
        # Synced, as whoever puts it there has to: what a power cut takes of it is not the agent's to save.
        write_file(manifests / "static.json", json.dumps(self._pod("static", "static", None)).encode())

    async def change(self) -> None:
        """Ask for one thing or another."""
        name = self.rng.choice(NAMES)
        if self.rng.random() < 0.25:
            await self._configure()
        elif name not in self.asked:
            await self._create(name)
        elif self.rng.random() < 0.6:
            await self._delete(name, at_once=self.rng.random() < 0.3)

    async def _configure(self) -> None:
        self.version += 1
        patch = {"data": {"version": str(self.version)}}
        await self.cluster.api.patch("configmaps", "default", SETTINGS, patch)

    async def _create(self, name: str) -> None:
        self.made += 1
        code = self.rng.choice((None, None, 0, 0, 3))
        key = f"{self.made:04d}-{name}"
        body = self._pod(name, key, code)
        body["spec"]["nodeName"] = self.edge.node
        try:
            made = await self.cluster.api.create("pods", body)
        except AlreadyExists:
            return  # the one before is on its way out
        self.asked[name] = Asked(Uid(made["metadata"]["uid"]), key, code)

    async def _delete(self, name: str, *, at_once: bool) -> None:
        uid = self.asked.pop(name).uid
        try:
            await self.cluster.api.delete("pods", "default", name, uid=uid, grace_s=0 if at_once else None)
        except NotFound:
            return

    def _pod(self, name: str, key: str, code: int | None) -> Body:
        journal = self.journal / key
        said = f"echo start $(date +%s.%N) >> {journal}"
        if code is None:
            script = f"{said}; trap 'exit 0' TERM; sleep 3600 & wait"
        else:
            script = (
                f"{said}; sleep {self.rng.uniform(0.05, 2.5):.2f}; echo end $(date +%s.%N) >> {journal}; exit {code}"
            )
        spec: dict[str, Any] = {"restartPolicy": "Always" if code is None else "Never"}
        if key != "static":
            spec["volumes"] = [{"name": "settings", "configMap": {"name": SETTINGS}}, {"name": "own", "emptyDir": {}}]
            mounts = [{"name": "settings", "mountPath": "/settings"}, {"name": "own", "mountPath": "/own"}]
            spec["container"] = {"volumeMounts": mounts}
        return pod(name, script, **spec)

    # --- judging --------------------------------------------------------------------------------------------------

    async def unsettled(self) -> list[str]:
        """Return what is not as it is to be in the end; it may only not be so yet."""
        pods = await self.cluster.api.list("pods")
        by_uid = {body["metadata"]["uid"]: body for body in pods}
        processes = pod_processes(self.edge)
        wrong = [f"{name}: gone from the API" for name, one in self.asked.items() if one.uid not in by_uid]
        runs: set[str] = set()
        asked = {one.uid: one for one in self.asked.values()}
        mirrors = 0
        for own_uid, body in by_uid.items():
            uid = (body["metadata"].get("annotations") or {}).get(MIRROR, own_uid)
            mirrors += uid != own_uid
            if uid == own_uid and uid not in asked:
                wrong.append(f"{body['metadata']['name']}: deleted, and still in the API")
                continue
            found = self._wrong(body, asked.get(Uid(uid)), len(processes.get(uid, ())))
            if found:
                wrong.append(f"{body['metadata']['name']} ({uid}): {found}; {body.get('status')}")
            runs.add(uid)
        wrong += [
            f"processes {pids} of {uid}, which nobody wants" for uid, pids in processes.items() if uid not in runs
        ]
        wrong += [] if mirrors == 1 else [f"{mirrors} mirrors of the static pod"]
        return wrong + self._folders(runs)

    def _wrong(self, body: Body, asked: Asked | None, processes: int) -> str:
        phase, status = (body.get("status") or {}).get("phase"), container_status(body)
        if asked is not None and asked.code is not None:
            if phase not in FINAL:
                return f"a job is {phase}"
            asked.phase = asked.phase or phase
            return f"a job is {phase} with {processes} processes" if processes else ""
        if phase != "Running" or "running" not in (status.get("state") or {}):
            return f"a server is {phase}"
        if processes != 2:  # the shell and its sleep
            return f"a server has {processes} processes"
        if asked is None:
            return ""
        starts, restarts = self._said(asked.key).count("start"), int(status["restartCount"])
        if not 1 <= starts <= restarts + 1:
            return f"a server started {starts} times, and {restarts} restarts are counted"
        return self._volume(asked)

    def _volume(self, asked: Asked) -> str:
        path = DataFolder(self.edge.data_dir).volumes / asked.uid / "volumes" / "settings" / "version"
        try:
            shown = path.read_text()
        except OSError as error:
            return f"its ConfigMap: {error}"
        return "" if shown == str(self.version) else f"its ConfigMap shows {shown!r}, not {self.version}"

    def _folders(self, runs: set[str]) -> list[str]:
        folder = DataFolder(self.edge.data_dir)
        left = {path.name for root in (folder.pods, folder.volumes) if root.is_dir() for path in root.iterdir()}
        return [f"a folder of {uid} is left" for uid in left - runs]

    async def broken(self) -> list[str]:
        """Return what must never be; call it once all has settled."""
        wrong = []
        for name, asked in self.asked.items():
            body = await self.cluster.api.get("pods", "default", name)
            if asked.code is not None:
                status, said = container_status(body), self._said(asked.key)
                wrong += [f"{name}: {each}" for each in self._job(asked, body["status"], status, said)]
        return wrong

    def _job(self, asked: Asked, status: Body, container: Body, said: list[str]) -> list[str]:
        wrong = []
        if (starts := said.count("start")) > 1:
            wrong.append(f"a job was started {starts} times")
        if asked.phase != status["phase"]:
            wrong.append(f"was {asked.phase}, is {status['phase']}")
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("reason") == LOST:
            self.lost.add(asked.key)
            at = self._end(asked.key)
            if at is not None and not any(at <= crash <= at + UNSEEN_S for crash in self.crashes):
                wrong.append(f"ended at {at}, long before a crash, and its exit code is not known")
        elif ended.get("exitCode") != asked.code or "end" not in said:
            wrong.append(f"exit code {ended}, journal {said}")
        return wrong

    def _said(self, key: str) -> list[str]:
        path = self.journal / key
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def _end(self, key: str) -> float | None:
        path = self.journal / key
        lines = path.read_text().splitlines() if path.exists() else []
        return next((float(line.split()[1]) for line in lines if line.startswith("end")), None)

    def crashed(self) -> None:
        """Note that the device crashes now."""
        self.crashes.append(time.time())
