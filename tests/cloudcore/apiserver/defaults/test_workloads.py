from __future__ import annotations

from cloudcore.apiserver.defaults.workloads import default_deployment, default_replicaset
from tests.support.registries import a_deployment


def test_a_deployment_gets_kubernetes_defaults() -> None:
    body = a_deployment()
    default_deployment(body)
    spec = body["spec"]
    assert spec["replicas"] == 1
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_recreate_has_no_rolling_update() -> None:
    body = a_deployment(strategy={"type": "Recreate"}, replicas=0)
    default_deployment(body)
    assert body["spec"]["strategy"] == {"type": "Recreate"}
    assert body["spec"]["replicas"] == 0


def test_a_replicaset_gets_one_replica_and_a_full_template() -> None:
    body = a_deployment()
    default_replicaset(body)
    assert body["spec"]["replicas"] == 1
    assert body["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    assert "strategy" not in body["spec"]
