"""Roles and bindings, and who has what by them. Sans-IO.

The objects are kept compiled and indexed by subject, so that a decision looks at the bindings of the user and its
groups alone. What was decided is remembered per user until any role or binding changes; both memories are bounded,
and a full one is forgotten whole, for what is needed again is cheap to decide again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cloudcore.apiserver.http.authn import User
from cloudcore.apiserver.http.authz import NO_OPINION, Attributes, Decision
from cloudcore.apiserver.rbac.rules import Rule, RuleSet
from cloudcore.security.accounttokens import account_username
from protocol.objects.keys import Body, ObjectKey

GROUP: Final = "rbac.authorization.k8s.io"
ROLES: Final = f"roles.{GROUP}"
CLUSTER_ROLES: Final = f"clusterroles.{GROUP}"
ROLE_BINDINGS: Final = f"rolebindings.{GROUP}"
CLUSTER_ROLE_BINDINGS: Final = f"clusterrolebindings.{GROUP}"
RESOURCES: Final = (ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS)

_MAX_USERS: Final = 4096
_MAX_DECISIONS: Final = 4096

_Subject = tuple[str, str]
"""``User`` or ``Group``, and its name; service accounts are users."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A role given to subjects.

    Attributes:
        key: The binding.
        role: The role: a key in the store.
        subjects: Who has it.
    """

    key: ObjectKey
    role: ObjectKey
    subjects: frozenset[_Subject]

    @classmethod
    def of(cls, key: ObjectKey, body: Body) -> Binding:
        """Return a binding as the store has it."""
        reference = body["roleRef"]
        if reference["kind"] == "ClusterRole":
            role = ObjectKey(CLUSTER_ROLES, "", reference["name"])
        else:
            role = ObjectKey(ROLES, key.namespace, reference["name"])
        return cls(key, role, frozenset(_subject(each, key.namespace) for each in body.get("subjects") or ()))

    def reason(self, subject: _Subject) -> str:
        """Return why ``subject`` may do what the role allows, as Kubernetes says it."""
        kind, name = ("RoleBinding", "/".join((self.key.name, self.key.namespace)))
        if not self.key.namespace:
            kind, name = "ClusterRoleBinding", self.key.name
        role = "ClusterRole" if self.role.resource == CLUSTER_ROLES else "Role"
        return f'RBAC: allowed by {kind} "{name}" of {role} "{self.role.name}" to {subject[0]} "{subject[1]}"'


@dataclass(frozen=True, slots=True)
class Grant:
    """What one binding gives to one user.

    Attributes:
        rules: The role's rules; None where there is no such role.
        binding: The binding.
        subject: As whom the user has it.
    """

    rules: RuleSet | None
    binding: Binding
    subject: _Subject


class Grants:
    """All that one user has: everywhere, and by namespace. Remembers what was decided."""

    __slots__ = ("_decisions", "_everywhere", "_named", "_within")

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._named = False
        self._everywhere: list[Grant] = []
        self._within: dict[str, list[Grant]] = {}
        self._decisions: dict[tuple[str, ...], Decision] = {}
        for grant in grants:
            namespace = grant.binding.key.namespace
            self._named = self._named or (grant.rules is not None and grant.rules.named)
            (self._within.setdefault(namespace, []) if namespace else self._everywhere).append(grant)

    def of(self, namespace: str) -> Iterator[Grant]:
        """Yield what counts in a namespace; an empty one is the cluster itself."""
        yield from self._everywhere
        if namespace:
            yield from self._within.get(namespace, ())

    def scopes(self) -> dict[str, list[Rule]]:
        """Return all rules by namespace; those under the empty one count everywhere."""
        by_namespace = {"": self._everywhere, **self._within}
        return {
            namespace: [rule for grant in grants if grant.rules is not None for rule in grant.rules.rules]
            for namespace, grants in by_namespace.items()
        }

    def decide(self, asked: Attributes) -> Decision:
        """Decide on a request."""
        # Few users have rules for certain names; for all others one decision does for every name.
        name = asked.name if self._named else ""
        key = (asked.verb, asked.group, asked.resource, asked.subresource, asked.namespace, name, asked.path)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _MAX_DECISIONS:
                self._decisions.clear()
            decision = self._decisions[key] = self._decided(asked)
        return decision

    def _decided(self, asked: Attributes) -> Decision:
        missing = []
        for grant in self.of("" if asked.path else asked.namespace):
            if grant.rules is None:
                missing.append(_missing(grant.binding.role))
            elif grant.rules.allows(asked):
                return Decision(True, grant.binding.reason(grant.subject))
        return Decision(False, f"RBAC: {_listed(missing)}") if missing else NO_OPINION


class Roles:
    """All roles and bindings of the cluster; fed by :func:`put` and :func:`remove`, in any order."""

    def __init__(self) -> None:
        self._rules: dict[ObjectKey, RuleSet] = {}
        self._bindings: dict[ObjectKey, Binding] = {}
        self._of_subject: dict[_Subject, dict[ObjectKey, None]] = {}
        self._grants: dict[tuple[str, tuple[str, ...]], Grants] = {}

    def put(self, key: ObjectKey, body: Body) -> None:
        """Take in a role or binding that is new or changed."""
        self._grants.clear()
        if key.resource in (ROLES, CLUSTER_ROLES):
            self._rules[key] = RuleSet(Rule.of(each) for each in body.get("rules") or ())
            return
        self._unbind(key)
        binding = self._bindings[key] = Binding.of(key, body)
        for subject in binding.subjects:
            self._of_subject.setdefault(subject, {})[key] = None

    def remove(self, key: ObjectKey) -> None:
        """Forget a role or binding."""
        self._grants.clear()
        self._rules.pop(key, None)
        self._unbind(key)

    def _unbind(self, key: ObjectKey) -> None:
        binding = self._bindings.pop(key, None)
        for subject in binding.subjects if binding is not None else ():
            bound = self._of_subject[subject]
            bound.pop(key, None)
            if not bound:
                del self._of_subject[subject]

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        """Return whether ``user`` may do what ``attributes`` say."""
        return self._of(user).decide(attributes)

    def rules_of(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """Return the rules that ``user`` has in a namespace, and what is wrong with its bindings.

        Args:
            user: Whose.
            namespace: Where; empty for the cluster itself.
        """
        rules: list[Rule] = []
        missing = []
        for grant in self._of(user).of(namespace):
            if grant.rules is None:
                missing.append(_missing(grant.binding.role))
            else:
                rules += grant.rules.rules
        return rules, missing

    def scopes_of(self, user: User) -> dict[str, list[Rule]]:
        """Return the rules that ``user`` has, by namespace; those under the empty one count everywhere."""
        return self._of(user).scopes()

    def role(self, key: ObjectKey) -> RuleSet | None:
        """Return the rules of a role, or None where there is no such role."""
        return self._rules.get(key)

    def _of(self, user: User) -> Grants:
        who = (user.name, user.groups)
        grants = self._grants.get(who)
        if grants is None:
            if len(self._grants) >= _MAX_USERS:
                self._grants.clear()
            grants = self._grants[who] = Grants(self._gathered(user))
        return grants

    def _gathered(self, user: User) -> Iterator[Grant]:
        for subject in (("User", user.name), *(("Group", group) for group in user.groups)):
            for key in self._of_subject.get(subject, ()):
                binding = self._bindings[key]
                yield Grant(self._rules.get(binding.role), binding, subject)


def _subject(body: Body, namespace: str) -> _Subject:
    if body.get("kind") == "ServiceAccount":
        return "User", account_username(body.get("namespace") or namespace, body["name"])
    return body["kind"], body["name"]


def _missing(role: ObjectKey) -> str:
    kind = "clusterrole" if role.resource == CLUSTER_ROLES else "role"
    return f'{kind}.{GROUP} "{role.name}" not found'


def _listed(errors: list[str]) -> str:
    distinct = list(dict.fromkeys(errors))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
