from __future__ import annotations

from edgecore.pods.apiaccess import ApiAccess


def test_pods_find_the_api_at_the_address_that_they_can_reach() -> None:
    api = ApiAccess(10550, "pem", gateway="172.17.0.1")
    assert api.variables(own_network=False) == {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "10550",
        "KUBERNETES_SERVICE_PORT_HTTPS": "10550",
        "KUBERNETES_PORT": "tcp://127.0.0.1:10550",
        "KUBERNETES_PORT_10550_TCP": "tcp://127.0.0.1:10550",
        "KUBERNETES_PORT_10550_TCP_PROTO": "tcp",
        "KUBERNETES_PORT_10550_TCP_PORT": "10550",
        "KUBERNETES_PORT_10550_TCP_ADDR": "127.0.0.1",
    }
    assert api.variables(own_network=True)["KUBERNETES_SERVICE_HOST"] == "172.17.0.1"
    assert ApiAccess(10550, "pem").variables(own_network=True) == {}
