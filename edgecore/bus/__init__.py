"""The MQTT bus: devices' twins in the topics and payloads of KubeEdge."""
