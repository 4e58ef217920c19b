"""Versioned object storage with Kubernetes' semantics, behind one interface."""
