"""Who set which field: ``metadata.managedFields``, and server-side apply, which rests on it. Sans-IO.

Source: Kubernetes "Server-Side Apply"; the algorithms are those of ``sigs.k8s.io/structured-merge-diff``.
"""
