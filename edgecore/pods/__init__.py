"""Runs the pods of this node: decides from desired state and events, acts through a runtime, reports what runs."""
