"""Identity and rights of a cloud, put together: who can show what, and who may do what."""

from __future__ import annotations

from collections.abc import Callable

from cloudcore.apiserver.http.accountauthn import AccountAuthenticator
from cloudcore.apiserver.http.authn import Authenticators, CertificateAuthenticator
from cloudcore.apiserver.http.authz import Authorizers, MastersAuthorizer, NodeAuthorizer, SliceContains
from cloudcore.apiserver.rbac.feed import feed
from cloudcore.apiserver.rbac.rights import Rights
from cloudcore.apiserver.rbac.roles import Roles
from cloudcore.informers import Informers
from cloudcore.security.accounttokens import TokenIssuer
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS


class Identity:
    """The authenticators and authorizers of one cloud.

    Roles, and the objects that tokens are bound to, are read from informers, which the caller runs.

    Args:
        issuer: Whose service-account tokens are good.
        informers: Where roles, accounts, pods, Secrets and nodes are read from.
        now: The wall clock, seconds since the epoch.
        superseded: Tells of a node's certificate whether another has taken its place.
        slice_contains: Tells whether an object is in a node's slice.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        informers: Informers,
        now: Callable[[], float],
        *,
        superseded: Callable[[str, bytes], bool],
        slice_contains: SliceContains,
    ) -> None:
        self.issuer = issuer
        self.roles = Roles()
        feed(self.roles, informers)
        for resource in (NODES, PODS, SECRETS, SERVICE_ACCOUNTS):
            informers.for_resource(resource)

        def lookup(key: ObjectKey) -> Body | None:
            return informers.for_resource(key.resource).get(key)

        self.accounts = AccountAuthenticator(issuer, lookup, now)
        self.authenticator = Authenticators((CertificateAuthenticator(superseded, now), self.accounts))
        self.authorizer = Authorizers((MastersAuthorizer(), NodeAuthorizer(slice_contains), self.roles))
        self.rights = Rights(self.authorizer, self.roles)
