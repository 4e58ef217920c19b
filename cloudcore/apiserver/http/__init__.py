"""The Kubernetes API over HTTPS: paths, negotiation, discovery, tables, watches. Decisions are in the verbs below."""
