"""The second engine: objects are in a Kubernetes API server, and this process keeps copies of what it follows."""

from cloudcore.store.kubernetes.access import InClusterAccess, KubeconfigAccess
from cloudcore.store.kubernetes.session import ApiSession, SessionSettings
from cloudcore.store.kubernetes.store import NAMESPACE, KubernetesStore

__all__ = ["NAMESPACE", "ApiSession", "InClusterAccess", "KubeconfigAccess", "KubernetesStore", "SessionSettings"]
