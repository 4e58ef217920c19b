"""What admission asks about rights: may this user do that, and may it hand out this much. Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cloudcore.apiserver.context import Context
from cloudcore.apiserver.http.authn import MASTERS, User
from cloudcore.apiserver.http.authz import Attributes, Authorizer
from cloudcore.apiserver.rbac.roles import Roles
from cloudcore.apiserver.rbac.rules import Rule, compacted, uncovered


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of whoever writes.

    Attributes:
        authorizer: Decides what users may do.
        roles: All roles and bindings.
    """

    authorizer: Authorizer
    roles: Roles

    def allows(self, context: Context, attributes: Attributes) -> bool:
        """Tell whether the writer may do what ``attributes`` say."""
        return self.authorizer.authorize(user_of(context), attributes).allowed

    def excess(self, context: Context, rules: Sequence[Rule], namespace: str) -> str:
        """Return what ``rules`` allow and the writer itself may not do, as Kubernetes words it; empty: nothing.

        Args:
            context: Who writes.
            rules: What is to be given.
            namespace: Where it is given; empty for everywhere.
        """
        if MASTERS in context.groups:
            return ""
        held, errors = self.roles.rules_of(user_of(context), namespace)
        missing = compacted(uncovered(rules, held))
        if not missing:
            return ""
        groups = " ".join(f'"{group}"' for group in context.groups)
        listed = "".join(f"\n{rule}" for rule in missing)
        resolution = f"; resolution errors: [{', '.join(errors)}]" if errors else ""
        return (
            f'user "{context.user}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:'
            f"{listed}{resolution}"
        )


def user_of(context: Context) -> User:
    """Return the user that a verb is called by."""
    return User(context.user, context.groups, context.uid, context.extra)
