"""The edge agent: keeps a device's share of the desired state on disk, runs it, and reports what runs."""
