"""The cloud daemon: Kubernetes API server, controllers, scheduler and the hub that edges connect to."""
