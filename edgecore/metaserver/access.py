"""Who speaks to the metaserver, and what it may do there. Every request asks; nobody is anonymous.

A pod is known by the token in its volume (:mod:`edgecore.accounts`). What it may do is what its service account may
do in the cloud: the cloud sends the compiled rules of each account in use (``serviceaccountrules``), and the same
function decides here and there. Where no rules have come, nothing is allowed. The device's administrator has a token
of its own, and may read everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from edgecore.accounts.ledger import Owner, digest_of
from edgecore.meta.base import Desired
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.resources import ACCOUNT_RULES, PODS, SERVICE_ACCOUNTS
from protocol.objects.rules import Rule, RuleSet

READS: Final = frozenset({"get", "list", "watch"})
ADMINISTRATOR: Final = "system:edge:administrator"
"""The user name behind the administrator's token."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Who asks.

    Attributes:
        namespace: The namespace of pod and account; empty for the administrator.
        service_account: The account; empty for the administrator.
        pod: The pod.
        uid: The pod's uid.
        administrator: The device's administrator, who may read everything and write nothing.
    """

    namespace: str
    service_account: str
    pod: str
    uid: Uid
    administrator: bool = False

    @property
    def username(self) -> str:
        """The user name, as the cloud would have it."""
        if self.administrator:
            return ADMINISTRATOR
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, as the cloud would have them."""
        if self.administrator:
            return ("system:authenticated",)
        accounts = "system:serviceaccounts"
        return (accounts, f"{accounts}:{self.namespace}", "system:authenticated")


@dataclass(frozen=True, slots=True)
class Request:
    """What a request would do, as rules see it (:class:`protocol.objects.rules.Asked`)."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    name: str = ""
    path: str = ""


class Tokens(Protocol):
    """Knows tokens (:class:`edgecore.accounts.ledger.TokenLedger`)."""

    def owner_of(self, text: str, now: float) -> Owner | None:
        """Return whose a token is, if it is good at ``now``, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    uid: Uid
    version: Revision
    everywhere: RuleSet
    within: dict[str, RuleSet]

    def sets(self, namespace: str) -> Iterator[RuleSet]:
        yield self.everywhere
        if namespace and namespace in self.within:
            yield self.within[namespace]


class Access:
    """Decides on requests at the metaserver.

    Args:
        tokens: Knows the pods' tokens.
        desired: The store: pods, accounts, and their rules.
        administrator: Returns the SHA-256, hex, of the administrator's token; empty where there is none.
    """

    def __init__(self, tokens: Tokens, desired: Desired, administrator: Callable[[], str] = lambda: "") -> None:
        self._tokens = tokens
        self._desired = desired
        self._administrator = administrator
        self._compiled: dict[ObjectKey, _Compiled] = {}

    def who(self, bearer: str, now: float) -> PodIdentity | None:
        """Return who shows this token at ``now`` (monotonic seconds), or None where it is good for nothing."""
        if not bearer:
            return None
        if digest_of(bearer) == self._administrator():
            return PodIdentity("", "", "", Uid(""), administrator=True)
        owner = self._tokens.owner_of(bearer, now)
        if owner is None or not self._is_here(owner):
            return None
        return PodIdentity(owner.namespace, owner.account, owner.pod, owner.pod_uid)

    def may(
        self,
        identity: PodIdentity,
        verb: str,
        resource: str,
        namespace: str = "",
        name: str = "",
        *,
        subresource: str = "",
    ) -> bool:
        """Tell whether ``identity`` may do this.

        Args:
            identity: Who asks.
            verb: ``get``, ``list``, ``watch``, ``create``, ``update``, ``patch``, ``delete``, ``deletecollection``.
            resource: The group-resource: ``pods``, ``deployments.apps``.
            namespace: Where; empty for cluster scope and for all namespaces.
            name: The object; empty for a collection.
            subresource: ``status``, ``log``…; empty for the object itself.
        """
        if identity.administrator:
            return verb in READS
        plural, _, group = resource.partition(".")
        asked = Request(verb, group, plural, subresource, name)
        rules = self._rules(identity)
        return rules is not None and any(each.allows(asked) for each in rules.sets(namespace))

    def _is_here(self, owner: Owner) -> bool:
        """Tell whether pod and account are still the ones that the token is for."""
        pod = self._desired.get(ObjectKey(PODS, owner.namespace, owner.pod))
        account = self._desired.get(ObjectKey(SERVICE_ACCOUNTS, owner.namespace, owner.account))
        if pod is None or pod.uid != owner.pod_uid or account is None:
            return False
        return owner.account_uid in ("", account.uid)

    def _rules(self, identity: PodIdentity) -> _Compiled | None:
        key = ObjectKey(ACCOUNT_RULES, identity.namespace, identity.service_account)
        held = self._desired.get(key)
        if held is None:
            self._compiled.pop(key, None)
            return None
        known = self._compiled.get(key)
        if known is None or (known.uid, known.version) != (held.uid, held.version):
            known = self._compiled[key] = _compiled(held.uid, held.version, held.body)
        return known


def _compiled(uid: Uid, version: Revision, body: Body) -> _Compiled:
    everywhere = RuleSet(map(Rule.of, body.get("rules") or ()))
    within = {
        str(part["namespace"]): RuleSet(map(Rule.of, part.get("rules") or ())) for part in body.get("namespaces") or ()
    }
    return _Compiled(uid, version, everywhere, within)
