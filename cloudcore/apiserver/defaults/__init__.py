"""Defaults: what Kubernetes fills into the fields a client leaves out."""
