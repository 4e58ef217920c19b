"""The key that signs service-account tokens: ES256, kept in the data folder beside the authority's.

It is a key of its own: whoever gets hold of it can speak as a service account, and as nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.errors import AiokubeedgeError, UsageError
from protocol.files import make_private_folder, write_file

ALGORITHM: Final = "ES256"
MAX_TOKEN_BYTES: Final = 16 * 1024
KEY_FILE: Final = "sa.key"
_COORDINATE_BYTES: Final = 32


class InvalidToken(AiokubeedgeError):
    """A bearer token that is not good; the message says why in one line and holds nothing of the token."""


class AccountKeys:
    """Signs claims, and checks signatures.

    Args:
        key: The private key, ECDSA P-256.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._public = key.public_key()
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = _base64url(hashlib.sha256(der).digest())
        """The key's id: base64url of the SHA-256 of its DER, as Kubernetes names keys."""

    @classmethod
    def create(cls) -> AccountKeys:
        """Make a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load_or_create(cls, folder: Path) -> AccountKeys:
        """Load ``sa.key`` from ``folder``, or make it there.

        Raises:
            UsageError: The file is damaged; it was not replaced, for that would void every token.
            OSError: The folder cannot be read or written.
        """
        path = folder / KEY_FILE
        if path.exists():
            return cls.load(path)
        make_private_folder(folder)
        keys = cls.create()
        write_file(path, keys.pem())
        return keys

    @classmethod
    def load(cls, path: Path) -> AccountKeys:
        """Load the key that an earlier run made.

        Raises:
            UsageError: It cannot be read, or is no ECDSA P-256 key.
        """
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, OSError) as exc:
            raise UsageError(f"the key of service-account tokens {path} cannot be used: {exc}") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError(f"the key of service-account tokens {path} is not ECDSA P-256")
        return cls(key)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JSON Web Token of ``claims``."""
        return jwt.encode(dict(claims), self._key, algorithm=ALGORITHM, headers={"kid": self.id, "typ": None})

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that this key signed. Issuer, audience and times are the caller's to check.

        Raises:
            InvalidToken: It is malformed, or signed by another key or in another way.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidToken("the token is too long")
        options: Any = {"verify_signature": True, **dict.fromkeys(_UNCHECKED, False)}
        try:
            if jwt.get_unverified_header(token).get("kid", self.id) != self.id:
                raise InvalidToken("the token was signed by another key")
            # The one algorithm is named here: what the token's own header says about it is not believed.
            claims: dict[str, Any] = jwt.decode(token, self._public, algorithms=[ALGORITHM], options=options)
        except jwt.InvalidSignatureError:
            raise InvalidToken("the token's signature is not good") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise InvalidToken(f"the token cannot be read: {type(error).__name__}") from None
        return claims

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key Set (RFC 7517), for those who check tokens themselves."""
        numbers = self._public.public_numbers()
        coordinates = {
            name: _base64url(value.to_bytes(_COORDINATE_BYTES, "big"))
            for name, value in (("x", numbers.x), ("y", numbers.y))
        }
        key = {"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": ALGORITHM, **coordinates}
        return {"keys": [key]}

    def pem(self) -> bytes:
        """Return the private key, PEM: a secret."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


_UNCHECKED: Final = ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
