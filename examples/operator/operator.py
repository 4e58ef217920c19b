"""An operator in kopf, a public framework: it turns each Website into a ConfigMap and a Deployment at the edge.

Nothing here knows aiokubeedge: the same file runs against any Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf
from kubernetes_asyncio import client, config

MANAGER = "website-operator"


@kopf.on.startup()
async def connect(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Take the credentials of the kubeconfig, or of the pod this runs in."""
    settings.posting.level = 20
    try:
        await config.load_kube_config()
    except config.ConfigException:
        config.load_incluster_config()


@kopf.on.create("examples.aiokubeedge.io", "v1", "websites")
@kopf.on.update("examples.aiokubeedge.io", "v1", "websites", field="spec")
@kopf.on.resume("examples.aiokubeedge.io", "v1", "websites")
async def serve(name: str, namespace: str | None, spec: Mapping[str, Any], patch: kopf.Patch, **_: Any) -> None:
    """Bring the ConfigMap and the Deployment of a Website to what it says."""
    children = [config_map(name, spec), deployment(name, spec)]
    kopf.adopt(children)
    async with client.ApiClient() as api:
        await client.CoreV1Api(api).patch_namespaced_config_map(name, namespace, children[0], **_as_apply())
        await client.AppsV1Api(api).patch_namespaced_deployment(name, namespace, children[1], **_as_apply())
    patch.status["phase"] = "Serving"


@kopf.on.field("apps", "v1", "deployments", field="status.readyReplicas", labels={"website": kopf.PRESENT})
async def count(name: str, namespace: str | None, new: Any, **_: Any) -> None:
    """Show in a Website how many of its servers are ready."""
    async with client.ApiClient() as api:
        await client.CustomObjectsApi(api).patch_namespaced_custom_object_status(
            "examples.aiokubeedge.io",
            "v1",
            namespace,
            "websites",
            name,
            {"status": {"ready": new or 0}},
            _content_type="application/merge-patch+json",
        )


@kopf.on.delete("examples.aiokubeedge.io", "v1", "websites")
async def say_goodbye(name: str, logger: kopf.Logger, **_: Any) -> None:
    """The children go with their owner; this only shows that a finalizer holds the Website until we are done."""
    logger.info("website %s is taken down", name)


def config_map(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files of a Website."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"website": name}},
        "data": {"index.html": spec["page"]},
    }


def deployment(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the servers of a Website: Python's own, as a process on the node."""
    container = {
        "name": "server",
        "image": "python",
        "command": ["python3", "-m", "http.server", str(spec["port"]), "--bind", "127.0.0.1", "--directory", "pages"],
        "volumeMounts": [{"name": "pages", "mountPath": "/pages"}],
    }
    labels = {"website": name}
    pod = {"containers": [container], "volumes": [{"name": "pages", "configMap": {"name": name}}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": spec["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _as_apply() -> dict[str, Any]:
    return {"field_manager": MANAGER, "force": True, "_content_type": "application/apply-patch+yaml"}
