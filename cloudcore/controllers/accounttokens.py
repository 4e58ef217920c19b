"""Tokens in Secrets: fills Secrets of type ``kubernetes.io/service-account-token``, and removes those without account.

Such a token lasts as long as its Secret and its account do. Kubernetes makes none by itself any more, and neither
does this cloud: they are for programs outside that cannot renew a token.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from cloudcore.apiserver.http.accountauthn import ACCOUNT_TOKEN_TYPE
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching
from cloudcore.errors import NotFound
from cloudcore.security.accounttokens import AccountClaims, Reference, TokenIssuer, mint_legacy
from protocol.objects.keys import Body, ObjectKey, Revision, Uid, key_of
from protocol.objects.resources import SECRETS, SERVICE_ACCOUNTS

ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
_BY_ACCOUNT = "service-account"


def account_of(secret: Body) -> str:
    """Return the account whose token a Secret is to hold; empty where it is another kind of Secret."""
    if secret.get("type") != ACCOUNT_TOKEN_TYPE:
        return ""
    return str((secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME, ""))


class AccountTokenController:
    """Reconciles Secrets that hold tokens; keys are theirs.

    Args:
        context: What controllers work with.
        issuer: Issues tokens.
        authority_pem: The authority's certificate, which stands beside the token.
    """

    name = "serviceaccount-token"
    workers = 1

    def __init__(self, context: Context, issuer: TokenIssuer, authority_pem: str) -> None:
        self._client = context.client
        self._issuer = issuer
        self._authority_pem = authority_pem
        self._secrets = context.informers.for_resource(SECRETS)
        self._secrets.add_index(_BY_ACCOUNT, _accounts)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow such Secrets, and the accounts they name."""
        return (Watching(SECRETS, _keys_of_secret), Watching(SERVICE_ACCOUNTS, self._keys_of_account))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Fill the Secret, or delete it where its account is not there (any longer)."""
        secret = self._secrets.get(key)
        name = "" if secret is None or is_deleting(secret) else account_of(secret)
        if secret is None or not name:
            return DONE
        annotations = secret["metadata"]["annotations"]
        try:
            # Read live: a Secret must not go because a cache has not heard of its account yet.
            account = await self._client.get(SERVICE_ACCOUNTS, key.namespace, name)
        except NotFound:
            await self._delete(key, secret)
            return DONE
        uid = account["metadata"]["uid"]
        if annotations.get(ACCOUNT_UID, uid) != uid:
            await self._delete(key, secret)
            return DONE
        await self._fill(secret, key, Reference(name, Uid(uid)))
        return DONE

    async def _fill(self, secret: Body, key: ObjectKey, account: Reference) -> None:
        data, metadata = secret.get("data") or {}, secret["metadata"]
        wanted = {"ca.crt": _base64(self._authority_pem), "namespace": _base64(key.namespace)}
        if not data.get("token"):
            claims = AccountClaims(key.namespace, account, secret=Reference(key.name, Uid(metadata["uid"])))
            wanted["token"] = _base64(mint_legacy(self._issuer.keys, claims))
        annotated = {**metadata["annotations"], ACCOUNT_UID: account.uid}
        changed = {
            **secret,
            "metadata": {**metadata, "annotations": annotated},
            "data": {**data, **wanted},
        }
        if changed == secret:
            return
        try:
            await self._client.update(SECRETS, changed)
        except NotFound:
            return

    async def _delete(self, key: ObjectKey, secret: Body) -> None:
        metadata = secret["metadata"]
        revision = Revision(int(metadata["resourceVersion"]))
        try:
            await self._client.delete(*key, uid=Uid(metadata["uid"]), revision=revision)
        except NotFound:
            return

    def _keys_of_account(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        body = new or old
        if body is None:
            return ()
        metadata = body["metadata"]
        found = self._secrets.list(index=_BY_ACCOUNT, value=f"{metadata['namespace']}/{metadata['name']}")
        return [key_of(SECRETS, secret) for secret in found]


def _accounts(secret: Body) -> Iterable[str]:
    name = account_of(secret)
    return (f"{secret['metadata']['namespace']}/{name}",) if name else ()


def _keys_of_secret(_old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    return (key_of(SECRETS, new),) if new is not None and account_of(new) else ()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
