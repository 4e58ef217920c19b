"""Names of resources, as :attr:`ObjectKey.resource` holds them: the plural, and the group behind a dot."""

from __future__ import annotations

from typing import Final

NAMESPACES: Final = "namespaces"
NODES: Final = "nodes"
PODS: Final = "pods"
CONFIG_MAPS: Final = "configmaps"
SECRETS: Final = "secrets"
SERVICES: Final = "services"
SERVICE_ACCOUNTS: Final = "serviceaccounts"
CLAIMS: Final = "persistentvolumeclaims"
EVENTS: Final = "events"
DEPLOYMENTS: Final = "deployments.apps"
REPLICA_SETS: Final = "replicasets.apps"
STATEFUL_SETS: Final = "statefulsets.apps"
REPLICATION_CONTROLLERS: Final = "replicationcontrollers"
DISRUPTION_BUDGETS: Final = "poddisruptionbudgets.policy"
LIMIT_RANGES: Final = "limitranges"
RESOURCE_QUOTAS: Final = "resourcequotas"
ENDPOINTS: Final = "endpoints"
LEASES: Final = "leases.coordination.k8s.io"
ENDPOINT_SLICES: Final = "endpointslices.discovery.k8s.io"
RUNTIME_CLASSES: Final = "runtimeclasses.node.k8s.io"
PRIORITY_CLASSES: Final = "priorityclasses.scheduling.k8s.io"
DEFINITIONS: Final = "customresourcedefinitions.apiextensions.k8s.io"
NODE_METRICS: Final = "nodes.metrics.k8s.io"
POD_METRICS: Final = "pods.metrics.k8s.io"
NODE_LINKS: Final = "nodelinks.edge.aiokubeedge.io"
NODE_SYNCS: Final = "nodesyncs.edge.aiokubeedge.io"
OBJECT_TRACES: Final = "objecttraces.edge.aiokubeedge.io"

# What stands in a resource's place in the keys of items on the link that are no objects (docs/protocol.md).
NODE_STATUS: Final = "nodes/status"
POD_STATUS: Final = "pods/status"
RESUME: Final = "resume"
"""The command behind the last of the difference after an inventory: what the edge does not hold now is not wanted."""
