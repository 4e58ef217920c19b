"""The Kubernetes API on the device, from the local store."""
