"""The cluster's authority in every namespace: ConfigMap ``kube-root-ca.crt``, for pods that check the API server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.controllers.namespace import is_namespace_going
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import AlreadyExists, Forbidden, NotFound
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import CONFIG_MAPS, NAMESPACES
from protocol.objects.wellknown import ROOT_CA

_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def wanted(namespace: str, authority_pem: str) -> Body:
    """Return the ConfigMap that ``namespace`` is to have."""
    annotations = {"kubernetes.io/description": _DESCRIPTION}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA, "namespace": namespace, "annotations": annotations},
        "data": {"ca.crt": authority_pem},
    }


class RootCertificateController:
    """Reconciles namespaces; keys are theirs.

    Args:
        context: What controllers work with.
        authority_pem: The authority's certificate.
    """

    name = "root-ca-cert-publisher"
    workers = 1

    def __init__(self, context: Context, authority_pem: str) -> None:
        self._client = context.client
        self._authority_pem = authority_pem
        self._namespaces = context.informers.for_resource(NAMESPACES)
        self._maps = context.informers.for_resource(CONFIG_MAPS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow namespaces, and the ConfigMaps of that name."""
        return (Watching(NAMESPACES, own_keys(NAMESPACES)), Watching(CONFIG_MAPS, _keys_of_map))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Create the ConfigMap, or put its content right."""
        namespace = self._namespaces.get(key)
        if namespace is None or is_deleting(namespace):
            return DONE
        present = self._maps.get(ObjectKey(CONFIG_MAPS, key.name, ROOT_CA))
        body = wanted(key.name, self._authority_pem)
        try:
            if present is None:
                await self._client.create(CONFIG_MAPS, body)
            elif present.get("data") != body["data"]:
                await self._client.update(CONFIG_MAPS, {**present, "data": body["data"]})
        except (AlreadyExists, NotFound):
            return DONE
        except Forbidden as error:
            if not is_namespace_going(error):
                raise
        return DONE


def _keys_of_map(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    body = new or old
    if body is None or body["metadata"]["name"] != ROOT_CA:
        return ()
    return (ObjectKey(NAMESPACES, "", body["metadata"]["namespace"]),)
