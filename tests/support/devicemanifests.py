"""A device and its model, as KubeEdge's documentation writes them."""

from __future__ import annotations

from typing import Any

import yaml

Body = dict[str, Any]

MANIFESTS = """
apiVersion: devices.kubeedge.io/v1beta1
kind: DeviceModel
metadata: {name: thermostat, namespace: default}
spec:
  protocol: modbus
  properties:
    - {name: temperature, description: measured, type: INT, accessMode: ReadOnly, maximum: "100", unit: degree celsius}
    - {name: target, description: wanted, type: FLOAT, accessMode: ReadWrite, minimum: "5", maximum: "30"}
    - {name: mode, type: STRING, accessMode: ReadWrite}
---
apiVersion: devices.kubeedge.io/v1beta1
kind: Device
metadata: {name: hall, namespace: default, labels: {model: thermostat}}
spec:
  deviceModelRef: {name: thermostat}
  nodeName: n1
  protocol:
    protocolName: modbus
    configData: {ip: 172.17.0.3, port: "1502", deviceID: "1"}
  properties:
    - name: temperature
      reportToCloud: true
      collectCycle: 2000
      reportCycle: 10000
      visitors: {protocolName: modbus, configData: {register: CoilRegister, offset: 2, limit: 1, scale: 1}}
      pushMethod:
        mqtt: {address: "tcp://127.0.0.1:1883", topic: temperature, qos: 0, retained: false}
        dbMethod:
          influxdb2:
            influxdb2ClientConfig: {url: "http://127.0.0.1:8086", org: test, bucket: test}
            influxdb2DataConfig: {measurement: stat, tag: {unit: temperature}, fieldKey: devicetest}
    - name: target
      desired: {value: "21.5", metadata: {type: float}}
      visitors: {protocolName: modbus, configData: {register: HoldingRegister, offset: 3, limit: 1}}
  methods:
    - {name: setTarget, description: sets the target, propertyNames: [target]}
  stateReport: {reportToCloud: true, reportCycle: 10000}
status:
  reportToCloud: true
  reportCycle: 10000
"""


def manifests() -> tuple[Body, Body]:
    """Return a DeviceModel and a Device of it on node n1."""
    model, device = yaml.safe_load_all(MANIFESTS)
    return model, device
