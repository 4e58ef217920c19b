"""The meta store: what this node holds of the cluster, and what it owes the cloud, on disk."""
