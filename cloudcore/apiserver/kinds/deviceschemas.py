"""The fields of ``devices.kubeedge.io/v1beta1``, as KubeEdge's API types have them.

Source: KubeEdge ``staging/src/github.com/kubeedge/api/apis/devices/v1beta1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from protocol.objects.devices import KEY_LIMIT, VALUE_LIMIT

Schema = Mapping[str, Any]


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _required(*names: str, **properties: Schema) -> Schema:
    return {**_object(**properties), **({"required": list(names)} if names else {})}


def _list(items: Schema, key: str = "") -> Schema:
    """Return a list; ``key`` names the field by which its elements are told apart."""
    merged = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]} if key else {}
    return {"type": "array", "items": items, **merged}


_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean"}
_INT32: Final = {"type": "integer", "format": "int32"}
_INT64: Final = {"type": "integer", "format": "int64"}
_CYCLE: Final = {"type": "integer", "format": "int64", "minimum": 0}
_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}
_FREE: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""What only the mapper of a protocol understands."""
_KEY: Final = {"type": "string", "minLength": 1, "maxLength": KEY_LIMIT}
_VALUE: Final = _object(value={"type": "string", "maxLength": VALUE_LIMIT}, metadata=_TEXTS)
_PROTOCOL: Final = _object(protocolName=_TEXT, configData=_FREE)

_DATABASES: Final = _object(
    influxdb2=_object(
        influxdb2ClientConfig=_object(url=_TEXT, org=_TEXT, bucket=_TEXT),
        influxdb2DataConfig=_object(measurement=_TEXT, tag=_TEXTS, fieldKey=_TEXT),
    ),
    redis=_object(redisClientConfig=_object(addr=_TEXT, db=_INT64, poolsize=_INT64, minIdleConns=_INT64)),
    TDEngine=_object(TDEngineClientConfig=_object(addr=_TEXT, dbName=_TEXT)),
    mysql=_object(mysqlClientConfig=_object(addr=_TEXT, database=_TEXT, userName=_TEXT)),
)
_PUSH: Final = _object(
    http=_object(hostName=_TEXT, port=_INT64, requestPath=_TEXT, timeout=_INT64),
    mqtt=_object(address=_TEXT, topic=_TEXT, qos=_INT32, retained=_FLAG),
    otel=_object(endpointURL=_TEXT),
    dbMethod=_DATABASES,
)
_TWIN: Final = _object(propertyName=_TEXT, reported=_VALUE, observedDesired=_VALUE)
_OBSERVED: Final = {
    "twins": _list(_TWIN),
    "state": _TEXT,
    "lastOnlineTime": _TEXT,
    "extensions": _FREE,
}


def _whole(*names: str, **parts: Schema) -> Schema:
    return _required(*names, apiVersion=_TEXT, kind=_TEXT, metadata={"type": "object"}, **parts)


MODEL: Final = _whole(
    spec=_object(
        protocol=_TEXT,
        protocolConfigData=_FREE,
        properties=_list(
            _required(
                "name",
                name=_KEY,
                description=_TEXT,
                type={"type": "string", "enum": ["INT", "FLOAT", "DOUBLE", "STRING", "BOOLEAN", "BYTES", "STREAM"]},
                accessMode={"type": "string", "enum": ["ReadWrite", "ReadOnly"]},
                minimum=_TEXT,
                maximum=_TEXT,
                unit=_TEXT,
                visitors=_PROTOCOL,
            ),
            key="name",
        ),
    )
)
"""Of a DeviceModel."""

DEVICE: Final = _whole(
    spec=_object(
        deviceModelRef=_object(name=_TEXT),
        nodeName=_TEXT,
        properties=_list(
            _required(
                "name",
                name=_KEY,
                desired=_VALUE,
                visitors=_PROTOCOL,
                reportCycle=_CYCLE,
                collectCycle=_CYCLE,
                reportToCloud=_FLAG,
                pushMethod=_PUSH,
            ),
            key="name",
        ),
        protocol=_PROTOCOL,
        methods=_list(_required("name", name=_KEY, description=_TEXT, propertyNames=_list(_TEXT)), key="name"),
        stateReport=_object(reportToCloud=_FLAG, reportCycle=_CYCLE),
    ),
    status=_object(**_OBSERVED, reportToCloud=_FLAG, reportCycle=_CYCLE),
)
"""Of a Device."""

STATUS: Final = _whole(spec=_object(), status=_object(**_OBSERVED))
"""Of a DeviceStatus."""

CALL: Final = _whole(
    "spec",
    spec=_required(
        "deviceName",
        "method",
        "arguments",
        deviceName={"type": "string", "minLength": 1},
        method=_KEY,
        arguments={
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": VALUE_LIMIT},
        },
        timeoutSeconds={"type": "integer", "minimum": 1, "maximum": 3600, "default": 30},
    ),
    status=_object(
        phase=_TEXT,
        reason=_TEXT,
        message=_TEXT,
        startTime=_TEXT,
        completionTime=_TEXT,
        results=_TEXTS,
        written=_FLAG,
        previous={"type": "object", "additionalProperties": _TEXT},
    ),
)
"""Of a DeviceCall."""
