"""Apply the manifests of a folder, with the administrator's kubeconfig of the cloud in ``CLOUDCORE_DATA_DIR``.

Stands in for ``kubectl apply -f FOLDER`` where there is no kubectl: creates what is missing, patches what is there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from cloudcore.errors import AlreadyExists
from cloudcore.rest import RestClient
from protocol.objects.keys import Body

RESOURCES: Final = {"ConfigMap": "configmaps", "Deployment": "deployments.apps"}


def manifests(folder: Path) -> Iterator[Body]:
    """Return the objects in ``*.yaml``, by file name."""
    for path in sorted(folder.glob("*.yaml")):
        yield from filter(None, yaml.safe_load_all(path.read_text()))


async def apply(client: RestClient, body: Body) -> str:
    """Create or patch one object, and return which."""
    resource = RESOURCES[body["kind"]]
    metadata = {"namespace": "default", **body["metadata"]}
    try:
        await client.create(resource, {**body, "metadata": metadata})
    except AlreadyExists:
        await client.patch(resource, metadata["namespace"], metadata["name"], body)
        return "patched"
    return "created"


async def main(folder: Path) -> None:
    """Apply what is in ``folder``."""
    async with RestClient(Path(os.environ["CLOUDCORE_DATA_DIR"]) / "admin.kubeconfig") as client:
        for body in manifests(folder):
            done = await apply(client, body)
            print(f"{body['kind']} {body['metadata']['name']} {done}")  # noqa: T201 - this is what is to be seen


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
