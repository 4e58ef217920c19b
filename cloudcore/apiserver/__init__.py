"""The Kubernetes API: the table of kinds, its verbs, and their HTTP face."""
