"""What a machine whose power is cut again and again is asked to run, and what is right of it afterwards.

Servers are to run for ever, jobs once. Each says on the machine's second serial line when it starts and ends: nothing
that was said there is lost, so a job that ran twice shows, whatever became of the device's own records.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from cloudcore.errors import AlreadyExists, NotFound
from protocol.objects.keys import Body, Uid
from tests.machines.devices import EDGE, NODE, Device
from tests.support.clusters import config_map, container_status, pod

NAMES: Final = tuple(f"p{number}" for number in range(5))
SETTINGS: Final = "settings"
STATIC: Final = "static"
_MIRROR: Final = "kubernetes.io/config.mirror"
_LOST: Final = "ContainerStatusUnknown"
_SAY: Final = "echo {} > /dev/ttyS1"

_LOOK: Final = textwrap.dedent("""
    import json, pathlib, sqlite3, subprocess, sys
    edge = pathlib.Path(sys.argv[1])
    volumes = {}
    for path in edge.glob("volumes/*/volumes/settings/version"):
        volumes[path.relative_to(edge).parts[1]] = path.read_text()
    folders = {path.name for name in ("pods", "volumes") for path in (edge / name).glob("*")}
    sound = {}
    for path in edge.glob("**/*.db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60) as database:
            sound[path.name] = database.execute("PRAGMA integrity_check").fetchone()[0]
    kernel = subprocess.run(["dmesg"], capture_output=True, text=True).stdout
    disk = [line for line in kernel.splitlines() if "EXT4-fs error" in line or "I/O error" in line]
    print(json.dumps(dict(volumes=volumes, folders=sorted(folders), sound=sound, disk=disk)))
""")
"""Prints what is on the device's disk."""


@dataclass
class Asked:
    """A pod that the API has taken.

    Attributes:
        uid: Its uid.
        key: What it says on the line begins with this.
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

    Attributes:
        asked: The pods that are wanted, by name.
        version: What the ConfigMap that they all mount says.
        lost: How often the end of a job was cut away.
    """

    device: Device
    rng: Random
    asked: dict[str, Asked] = field(default_factory=dict)
    version: int = 0
    made: int = 0
    lost: int = 0

    async def begin(self) -> None:
        """Make what is there from the start."""
        await self.device.cluster.api.create("configmaps", config_map(SETTINGS, version="0"))
        text = json.dumps(_pod(STATIC, STATIC, None, 0.0, volumes=False))
        # Synced, as whoever puts it there has to: what a power cut takes of it is not the agent's to save.
        folder = EDGE / "manifests"
        script = f"mkdir -p {folder} && cat > {folder}/.new && mv {folder}/.new {folder}/static.json && sync"
        await self.device.machine.shell(script, text=text)

    async def change(self) -> None:
        """Ask for one thing or another."""
        name = self.rng.choice(NAMES)
        if self.rng.random() < 0.3:
            self.version += 1
            patch = {"data": {"version": str(self.version)}}
            await self.device.cluster.api.patch("configmaps", "default", SETTINGS, patch)
        elif name not in self.asked:
            await self._create(name)
        elif len(self.asked) > 2:
            await self._delete(name, at_once=self.rng.random() < 0.3)

    async def _create(self, name: str) -> None:
        self.made += 1
        code = self.rng.choice((None, None, 0, 3))
        key = f"{self.made:04d}-{name}"
        body = _pod(name, key, code, self.rng.uniform(0.1, 5.0), volumes=True)
        body["spec"]["nodeName"] = NODE
        try:
            made = await self.device.cluster.api.create("pods", body)
        except AlreadyExists:
            return  # the one before is on its way out
        self.asked[name] = Asked(Uid(made["metadata"]["uid"]), key, code)

    async def _delete(self, name: str, *, at_once: bool) -> None:
        uid = self.asked.pop(name).uid
        try:
            await self.device.cluster.api.delete("pods", "default", name, uid=uid, grace_s=0 if at_once else None)
        except NotFound:
            return

    # --- judging --------------------------------------------------------------------------------------------------

    async def unsettled(self) -> list[str]:
        """Return what is not as it is to be in the end; it may only not be so yet."""
        pods = await self.device.cluster.api.list("pods")
        look: dict[str, Any] = json.loads(await self.device.machine.get("python3", "-c", _LOOK, EDGE))
        running = {uid: len(found) for uid, found in (await self.device.processes()).items()}
        wanted: dict[str, Asked] = {one.uid: one for one in self.asked.values()}
        seen: dict[str, Body] = {}
        mirrors = []
        for body in pods:
            mirrored = (body["metadata"].get("annotations") or {}).get(_MIRROR)
            mirrors += [mirrored] if mirrored else []
            seen[mirrored or body["metadata"]["uid"]] = body
        wrong = [f"{one.key}: gone from the API" for one in wanted.values() if one.uid not in seen]
        wrong += [f"{len(mirrors)} mirrors of the static pod"] if len(mirrors) != 1 else []
        for uid, body in seen.items():
            if uid in wanted or uid in mirrors:
                found = self._wrong(body, wanted.get(uid), running.get(uid, 0), look["volumes"].get(uid))
            else:
                found = "deleted, and still in the API"
            wrong += [f"{body['metadata']['name']} ({uid}): {found}; {body.get('status')}"] if found else []
        wrong += [f"processes of {uid}, which nobody wants" for uid in running.keys() - seen.keys()]
        wrong += [f"a folder of {uid} is left" for uid in {*look["folders"]} - seen.keys()]
        wrong += [f"{name}: {said}" for name, said in look["sound"].items() if said != "ok"]
        return [*wrong, *look["disk"]]

    def _wrong(self, body: Body, asked: Asked | None, processes: int, version: str | None) -> str:
        phase = (body.get("status") or {}).get("phase")
        if asked is not None and asked.code is not None:
            if phase not in ("Succeeded", "Failed"):
                return f"a job is {phase}"
            asked.phase = asked.phase or phase
            return f"a job is {phase} with {processes} processes" if processes else ""
        if phase != "Running" or "running" not in (container_status(body).get("state") or {}):
            return f"a server is {phase}"
        if processes != 2:  # the shell and its sleep
            return f"a server has {processes} processes"
        return "" if asked is None or version == str(self.version) else f"ConfigMap {version!r}, not {self.version}"

    async def broken(self) -> list[str]:
        """Return what must never be; call it once all has settled."""
        wrong = []
        lines = self.device.machine.journal.read_text(errors="replace").split("\n")
        for name, asked in self.asked.items():
            if asked.code is None:
                continue
            body = await self.device.cluster.api.get("pods", "default", name)
            said = [line.split()[1] for line in lines if line.startswith(f"{asked.key} ")]
            wrong += [f"{asked.key}: {each}" for each in self._job(asked, body, said)]
        return wrong

    def _job(self, asked: Asked, body: Body, said: list[str]) -> list[str]:
        wrong = []
        if said.count("start") > 1:
            wrong.append(f"a job was started {said.count('start')} times")
        if asked.phase != body["status"]["phase"]:
            wrong.append(f"was {asked.phase}, is {body['status']['phase']}")
        ended = (container_status(body).get("state") or {}).get("terminated") or {}
        if ended.get("reason") == _LOST:
            self.lost += 1
        elif ended.get("exitCode") != asked.code or "end" not in said:
            wrong.append(f"exit code {ended}, and it said {said}")
        return wrong


def _pod(name: str, key: str, code: int | None, runs_s: float, *, volumes: bool) -> Body:
    start, end = _SAY.format(f"{key} start"), _SAY.format(f"{key} end")
    if code is None:
        script = f"{start}; trap 'exit 0' TERM; sleep 100000 & wait"
    else:
        script = f"{start}; sleep {runs_s:.2f}; {end}; exit {code}"
    spec: dict[str, Any] = {"restartPolicy": "Always" if code is None else "Never"}
    if volumes:
        spec["volumes"] = [{"name": "settings", "configMap": {"name": SETTINGS}}, {"name": "own", "emptyDir": {}}]
        mounts = [{"name": "settings", "mountPath": "/settings"}, {"name": "own", "mountPath": "/own"}]
        spec["container"] = {"volumeMounts": mounts}
    return pod(name, script, **spec)
