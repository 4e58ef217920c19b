"""Acting as somebody else: the ``Impersonate-*`` headers, which need the verb ``impersonate``. Sans-IO.

Source: Kubernetes ``apiserver/pkg/endpoints/filters/impersonation.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from cloudcore.apiserver.http.authn import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.errors import BadRequest
from cloudcore.security.accounttokens import account_groups, account_of

PREFIX: Final = "impersonate-"
_EXTRA: Final = "impersonate-extra-"
_GROUP: Final = "authentication.k8s.io"


@dataclass(slots=True)
class Impersonation:
    """Whom a request wants to act as.

    Attributes:
        name: The user.
        groups: Its groups as stated.
        uid: Its uid.
        extra: What else is stated of it.
    """

    name: str = ""
    groups: list[str] = field(default_factory=list)
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)

    @property
    def user(self) -> User:
        """The user that the request then is, with the groups that everyone of its sort is in."""
        groups = list(self.groups)
        account = account_of(self.name)
        if account is not None and not groups:
            groups = list(account_groups(account[0]))
        everyone = UNAUTHENTICATED if self.name == ANONYMOUS else AUTHENTICATED
        if everyone not in groups:
            groups.append(everyone)
        return User(self.name, tuple(groups), self.uid, {name: tuple(values) for name, values in self.extra.items()})

    def questions(self) -> Iterator[Attributes]:
        """Yield what the one who asks must be allowed to do, all of it."""
        account = account_of(self.name)
        if account is not None:
            yield Attributes("impersonate", "serviceaccounts", "", *account)
        else:
            yield Attributes("impersonate", "users", name=self.name)
        for group in self.groups:
            yield Attributes("impersonate", "groups", name=group)
        if self.uid:
            yield Attributes("impersonate", "uids", _GROUP, name=self.uid)
        for name, values in self.extra.items():
            for value in values:
                yield Attributes("impersonate", "userextras", _GROUP, name=value, subresource=name)


def impersonation_of(headers: Iterable[tuple[str, str]]) -> Impersonation | None:
    """Return whom a request wants to act as; None where it does not.

    Args:
        headers: The request's headers, names in any case.

    Raises:
        BadRequest: It states groups, a uid or more, but no user.
    """
    wanted = Impersonation()
    found = False
    for header, value in headers:
        name = header.lower()
        if not name.startswith(PREFIX):
            continue
        found = True
        match name:
            case "impersonate-user":
                wanted.name = value
            case "impersonate-group":
                wanted.groups.append(value)
            case "impersonate-uid":
                wanted.uid = value
            case _ if name.startswith(_EXTRA):
                wanted.extra.setdefault(unquote(name.removeprefix(_EXTRA)), []).append(value)
    if not found:
        return None
    if not wanted.name:
        if not (wanted.groups or wanted.uid or wanted.extra):
            return None
        raise BadRequest("requested groups, a uid or extra without impersonating a user")
    return wanted
