"""Calls of device methods: the method's properties are desired as the call says, until the device reports them so.

A call is carried out through the device's twin, so it survives restarts of everybody and needs nothing of a mapper that
it does not have. What it overwrote is kept in its status: when its deadline passes, what nobody has changed since is
put back, so that a device that comes back later does not do what nobody waits for any more.

The literal order of writes, each of which may be the last one before a restart: the call is Running, with what it will
overwrite; the Device is written; the call says so; the outcome. Writing the Device twice is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import Invalid, NotFound
from protocol.objects.devices import DEVICES
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.resources import DEVICE_CALLS
from protocol.objects.times import parse_timestamp, timestamp

TTL_S: Final = 3600.0
"""How long a call that has ended stays to be looked at."""
BY_DEVICE: Final = "device"

RUNNING: Final = "Running"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next about a call.

    Attributes:
        status: Fields of its status to set.
        desired: Values to desire of the device, by property; an empty one desires nothing.
    """

    status: Body = field(default_factory=dict)
    desired: Mapping[str, str] = field(default_factory=dict)


WAIT: Final = Step()


def plan(call: Body, device: Body | None, *, overdue: bool) -> Step:
    """Return the next step of a call that has not ended."""
    spec, status = call["spec"], call.get("status") or {}
    wanted: Mapping[str, str] = spec["arguments"]
    if device is None:
        return _failed("NotFound", f"there is no Device {spec['deviceName']}")
    present = desired_of(device)
    if status.get("phase") != RUNNING:
        refusal = _refusal(spec, device)
        kept = {name: present.get(name, "") for name in wanted}
        return Step({"phase": RUNNING, "previous": kept}) if refusal is None else refusal
    if not status.get("written"):
        return Step({"written": True}, desired=wanted)
    reported = _reported(device)
    if all(_same(value, each) for name, value in wanted.items() for each in reported.get(name, (None,))):
        return Step({"phase": SUCCEEDED, "results": dict(wanted)})
    others = sorted(name for name, value in wanted.items() if present.get(name) != value)
    if others:
        return _failed("Superseded", f"somebody else has written {', '.join(others)}")
    if overdue:
        message = f"the device has not reported it within {spec['timeoutSeconds']} s; what was desired before is again"
        return _failed("DeadlineExceeded", message, desired=status.get("previous") or {})
    return WAIT


def _failed(reason: str, message: str, *, desired: Mapping[str, str] | None = None) -> Step:
    return Step({"phase": FAILED, "reason": reason, "message": message}, desired=desired or {})


def _refusal(spec: Body, device: Body) -> Step | None:
    methods = {each["name"]: each for each in device["spec"].get("methods") or ()}
    method = methods.get(spec["method"])
    if method is None:
        return _failed("NoSuchMethod", f"the Device {spec['deviceName']} has no method {spec['method']}")
    foreign = sorted(spec["arguments"].keys() - set(method.get("propertyNames") or ()))
    if foreign:
        return _failed("Invalid", f"the method {spec['method']} does not control {', '.join(foreign)}")
    return None


def desired_of(device: Body) -> dict[str, str]:
    """Return what is desired of a Device, by property."""
    listed = (device.get("spec") or {}).get("properties") or ()
    return {each["name"]: (each.get("desired") or {}).get("value") or "" for each in listed}


def _reported(device: Body) -> dict[str, tuple[Any, Any]]:
    """Return, by property, what the node desires of a device and what the device reports."""
    twins = (device.get("status") or {}).get("twins") or ()
    return {
        each.get("propertyName", ""): (_value(each.get("observedDesired")), _value(each.get("reported")))
        for each in twins
    }


def _value(part: Any) -> Any:
    return (part or {}).get("value")


def _same(wanted: str, found: str | None) -> bool:
    """Tell whether a value is the wanted one; a device may write a number in another way."""
    if found is None or wanted == found:
        return found is not None
    try:
        return float(wanted) == float(found)
    except ValueError:
        return False


def with_desired(device: Body, values: Mapping[str, str]) -> Body:
    """Return a Device with ``values`` desired; an empty one removes what is desired."""
    properties = []
    for each in device["spec"].get("properties") or ():
        value = values.get(each["name"])
        rest = {name: part for name, part in each.items() if name != "desired" or value is None}
        properties.append({**rest, "desired": {**(each.get("desired") or {}), "value": value}} if value else rest)
    return {**device, "spec": {**device["spec"], "properties": properties}}


class DeviceCallController:
    """Carries out DeviceCalls."""

    name = "devicecall"
    workers = 2

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._devices = context.informers.for_resource(DEVICES)
        self._calls = context.informers.for_resource(DEVICE_CALLS)
        self._calls.add_index(BY_DEVICE, device_of)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow calls, and the Devices that they are about."""
        return (Watching(DEVICE_CALLS, own_keys(DEVICE_CALLS)), Watching(DEVICES, self._keys_of_device))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Take the next step of one call."""
        call = self._calls.get(key)
        if call is None:
            return DONE
        status = call.get("status") or {}
        now = self._clock.wall()
        if status.get("phase") in {SUCCEEDED, FAILED}:
            return await self._expire(key, parse_timestamp(status["completionTime"]) + TTL_S - now)
        started = parse_timestamp(status["startTime"]) if "startTime" in status else now
        left_s = started + call["spec"]["timeoutSeconds"] - now
        device = self._devices.get(ObjectKey(DEVICES, key.namespace, call["spec"]["deviceName"]))
        step = plan(call, device, overdue=left_s <= 0)
        if step is WAIT:
            return RequeueAfter(max(left_s, 0.1))
        await self._take(call, device, step, now)
        return DONE

    async def _take(self, call: Body, device: Body | None, step: Step, now: float) -> None:
        status = {**(call.get("status") or {}), **step.status}
        if step.desired and device is not None:
            try:
                await self._client.update(DEVICES, with_desired(device, step.desired))
            except Invalid as error:
                status |= {"phase": FAILED, "reason": "Invalid", "message": error.message}
        status.setdefault("startTime", timestamp(now))
        if status["phase"] in {SUCCEEDED, FAILED}:
            status["completionTime"] = timestamp(now)
        try:
            await self._client.update(DEVICE_CALLS, {**call, "status": status}, subresource="status")
        except NotFound:
            return  # nobody wants to know any more

    async def _expire(self, key: ObjectKey, left_s: float) -> Result:
        if left_s > 0:
            return RequeueAfter(left_s)
        try:
            await self._client.delete(DEVICE_CALLS, key.namespace, key.name)
        except NotFound:
            pass
        return DONE

    def _keys_of_device(self, _old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        if new is None:
            return ()
        metadata = new["metadata"]
        calls = self._calls.list(index=BY_DEVICE, value=f"{metadata['namespace']}/{metadata['name']}")
        return [key_of(DEVICE_CALLS, call) for call in calls]


def device_of(call: Body) -> Iterable[str]:
    """Index function: the Device of a call that has not ended."""
    if (call.get("status") or {}).get("phase") in {SUCCEEDED, FAILED}:
        return ()
    device = (call.get("spec") or {}).get("deviceName")
    return (f"{call['metadata']['namespace']}/{device}",) if device else ()
