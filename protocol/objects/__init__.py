"""Rules about Kubernetes object bodies, which stay plain dicts so that unknown fields survive."""
