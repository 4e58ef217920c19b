"""CustomResourceDefinitions to write."""

from __future__ import annotations

from typing import Any

from protocol.objects.keys import Body

CRONTABS = "crontabs.stable.example.com"


def a_version(name: str = "v1", *, storage: bool = True, spec: Body | None = None, **more: Any) -> Body:
    """Return a version whose ``spec`` has the schema ``spec``; ``schema=`` gives the whole schema instead."""
    root = more.pop("schema", None) or {
        "type": "object",
        "properties": {"spec": spec or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": root}, **more}


def a_definition(*versions: Body, names: Body | None = None, scope: str = "Namespaced", **metadata: Any) -> Body:
    """Return the definition of CronTabs."""
    given = {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], **(names or {})}
    return {
        "metadata": {"name": f"{given['plural']}.stable.example.com", **metadata},
        "spec": {
            "group": "stable.example.com",
            "scope": scope,
            "names": given,
            "versions": list(versions) or [a_version()],
        },
    }


def a_crontab(name: str = "mine", spec: Body | None = None, **metadata: Any) -> Body:
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "spec": spec or {}}
