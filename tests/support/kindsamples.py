"""One good object of each kind that has no tests of its own, as a person would write it."""

from __future__ import annotations

import base64
from typing import Any

import yaml

from tests.support.csrs import node_csr

Body = dict[str, Any]

_TEMPLATE = """
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "nginx:alpine"}]}
"""
_DOCUMENTS = f"""
apiVersion: v1
kind: PodTemplate
metadata: {{name: web}}
template: {_TEMPLATE}
---
apiVersion: v1
kind: ReplicationController
metadata: {{name: web}}
spec:
  replicas: 2
  template: {_TEMPLATE}
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: disk}}
spec: {{capacity: {{storage: 5Gi}}, accessModes: [ReadWriteOnce], hostPath: {{path: /data}}, storageClassName: slow}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec: {{accessModes: [ReadWriteOnce, ReadOnlyMany], resources: {{requests: {{storage: 1Gi}}}}, storageClassName: slow}}
---
apiVersion: v1
kind: LimitRange
metadata: {{name: bounds}}
spec: {{limits: [{{type: Container, max: {{cpu: "1"}}, min: {{cpu: 100m, memory: 8Mi}}}}]}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: share}}
spec: {{hard: {{pods: "10", requests.cpu: "4", limits.memory: 8Gi}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template: {_TEMPLATE}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: web}}
spec:
  serviceName: web
  selector: {{matchLabels: {{app: web}}}}
  template: {_TEMPLATE}
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: apps/v1
kind: ControllerRevision
metadata: {{name: web-1}}
data: {{spec: {{}}}}
revision: 1
---
apiVersion: batch/v1
kind: Job
metadata: {{name: once}}
spec:
  template:
    spec: {{restartPolicy: Never, containers: [{{name: app, image: busybox}}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec:
  schedule: "*/5 1-3 * jan,FEB MON-fri"
  timeZone: Europe/Berlin
  jobTemplate:
    spec:
      template:
        spec: {{restartPolicy: OnFailure, containers: [{{name: app, image: busybox}}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
  maxReplicas: 5
  metrics:
  - {{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}
  - {{type: Pods, pods: {{metric: {{name: hits}}, target: {{type: AverageValue, averageValue: "100"}}}}}}
  behavior: {{scaleDown: {{stabilizationWindowSeconds: 60}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 50%, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-a, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 80}}]
endpoints: [{{addresses: [10.0.0.1]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: "shop:reader"}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [get, list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: "metrics:reader"}}
rules: [{{nonResourceURLs: [/metrics], verbs: [get]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: readers}}
roleRef: {{kind: Role, name: "shop:reader", apiGroup: rbac.authorization.k8s.io}}
subjects:
- {{kind: User, name: ann}}
- {{kind: ServiceAccount, name: robot, namespace: default}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: everyone}}
roleRef: {{kind: ClusterRole, name: "metrics:reader", apiGroup: rbac.authorization.k8s.io}}
subjects: [{{kind: Group, name: staff}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  ingressClassName: edge
  rules:
  - host: shop.example.com
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: edge}}
spec: {{controller: example.com/ingress, parameters: {{apiGroup: example.com, kind: Params, name: p}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: closed}}
spec: {{podSelector: {{matchLabels: {{app: web}}}}, egress: [{{ports: [{{port: 53}}]}}]}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: slow, annotations: {{storageclass.kubernetes.io/is-default-class: "true"}}}}
provisioner: example.com/disk
---
apiVersion: storage.k8s.io/v1
kind: VolumeAttachment
metadata: {{name: held}}
spec: {{attacher: example.com, nodeName: edge-1, source: {{persistentVolumeName: disk}}}}
---
apiVersion: storage.k8s.io/v1
kind: CSINode
metadata: {{name: edge-1}}
spec: {{drivers: [{{name: example.com, nodeID: a}}]}}
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: example.com}}
spec: {{}}
---
apiVersion: storage.k8s.io/v1
kind: CSIStorageCapacity
metadata: {{name: left}}
storageClassName: slow
---
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: device}}
spec:
  request: {base64.b64encode(node_csr("edge-1")).decode()}
  signerName: example.com/devices
  usages: [client auth]
  expirationSeconds: 3600
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: checks}}
webhooks:
- name: pods.checks.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {{service: {{name: checker, namespace: default}}}}
  rules: [{{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {{name: changes}}
webhooks:
- name: pods.changes.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {{url: "https://changes.example.com/pods"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: few-replicas}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}}]
  validations: [{{expression: object.spec.replicas <= 5}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: few-replicas}}
spec: {{policyName: few-replicas, validationActions: [Deny], matchResources: {{}}}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1beta1.external.metrics.k8s.io}}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  service: {{name: adapter, namespace: default}}
"""

_PLURALS = {
    "Ingress": "ingresses",
    "IngressClass": "ingressclasses",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "NetworkPolicy": "networkpolicies",
    "StorageClass": "storageclasses",
    "CSIStorageCapacity": "csistoragecapacities",
}


def resource_of(body: Body) -> str:
    """Return the group-resource of a sample."""
    group = body["apiVersion"].rpartition("/")[0]
    plural = _PLURALS.get(body["kind"]) or f"{body['kind'].lower()}s"
    return f"{plural}.{group}" if group else plural


def samples() -> list[Body]:
    """Return fresh samples, cluster-wide kinds without a namespace."""
    return list(yaml.safe_load_all(_DOCUMENTS))


def sample(resource: str) -> Body:
    """Return a fresh sample of one kind, in the namespace ``default`` where kinds have one."""
    return next(body for body in samples() if resource_of(body) == resource)
