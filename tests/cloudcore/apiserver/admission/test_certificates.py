from __future__ import annotations

from cloudcore.apiserver.admission.certificates import Requester
from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.create import create
from tests.support.kindsamples import sample
from tests.support.registries import a_context, make_registry, target

RESOURCE = "certificatesigningrequests.certificates.k8s.io"


async def test_a_certificate_request_says_who_made_it() -> None:
    registry = make_registry(AdmissionChain([Requester()]))
    body = sample(RESOURCE)
    body["spec"] |= {"username": "someone-else", "groups": ["system:masters"], "uid": "7", "extra": {"a": ["b"]}}
    stored = await create(registry, target(registry, RESOURCE), body, a_context(groups=("staff",)))
    spec = stored.decode()["spec"]
    assert (spec["username"], spec["groups"]) == ("admin", ["staff"])
    assert not {"uid", "extra"} & spec.keys()
