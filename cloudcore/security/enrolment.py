"""The enrolment server: HTTPS on its own port, the only thing a device without a certificate can talk to.

Contract. :meth:`EnrolmentServer.run` owns the listening socket and one task that sweeps expired tokens. Requests are
bounded in size, in rate per address and in number at once; what is over a bound is answered 413 or 429 at once.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cloudcore.clock import Clock
from cloudcore.errors import ApiError
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.joining import Joining, JoinRequest
from cloudcore.security.nodelabels import LabelRefused
from cloudcore.security.ratelimit import RateLimit, RateLimiter
from cloudcore.security.signer import CsrRefused
from cloudcore.security.tokens import TokenError
from protocol.transports.acceptor import Acceptor, hand_over

log = structlog.get_logger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024
SWEEP_EVERY_S: Final = 600.0
LINGERING_S: Final = 1.0
"""How long the rest of a body that was refused is taken in, so that its sender gets to read the refusal."""
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class EnrolBody(BaseModel):
    """The request's JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=4096)
    csr: str = Field(max_length=16_384)
    instance_id: str = Field(alias="instanceId", pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.:]{0,127}$")
    labels: dict[str, str] = Field(default_factory=dict, max_length=64)
    runtimes: list[Word] = Field(default_factory=list, max_length=16)


@dataclass(frozen=True, slots=True)
class EnrolmentSettings:
    """Bounds of the enrolment server.

    Attributes:
        rate: Requests of one address.
        concurrent: Joins under way at once; the next is told to come back.
        body_s: How long a request's body may take to arrive, seconds.
    """

    rate: RateLimit = field(default_factory=RateLimit)
    concurrent: int = 64
    body_s: float = 10.0


class EnrolmentServer:
    """Answers ``GET /ca.crt`` and ``POST /enrol``.

    Args:
        joining: Does the work.
        ca: Whose certificate is handed out.
        hub_urls: Returns the hub's WebSocket URLs, in the order they are to be tried.
        clock: Measures rates and lifetimes.
        settings: The bounds.
    """

    def __init__(
        self,
        joining: Joining,
        ca: CertificateAuthority,
        *,
        hub_urls: Callable[[], Sequence[str]],
        clock: Clock,
        settings: EnrolmentSettings | None = None,
    ) -> None:
        self._joining = joining
        self._ca = ca
        self._hub_urls = hub_urls
        self._clock = clock
        self._settings = settings or EnrolmentSettings()
        self._rates = RateLimiter(self._settings.rate)
        self._under_way = 0
        self.joined_total = 0
        self.refused_total = 0

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/ca.crt", self._get_ca)
        app.router.add_post("/enrol", self._post_enrol)
        return app

    async def run(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Serve on ``sock`` until cancelled."""
        runner = web.AppRunner(self.application(), access_log=None, keepalive_timeout=5.0, lingering_time=LINGERING_S)
        await runner.setup()
        assert runner.server is not None
        acceptor = Acceptor(sock, runner.server, hand_over, tls=context)
        try:
            acceptor.start()
            await self._sweep()
        finally:
            acceptor.close()
            await runner.cleanup()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                swept = await self._joining.tokens.sweep(self._clock.wall())
            except ApiError as exc:
                log.warning("expired tokens stay for now", cause=exc.message)
                continue
            if swept:
                log.info("expired tokens removed", count=swept)

    async def _get_ca(self, request: web.Request) -> web.Response:
        busy = self._too_often(request)
        return busy or web.Response(body=self._ca.certificate_pem, content_type="application/x-pem-file")

    async def _post_enrol(self, request: web.Request) -> web.Response:
        busy = self._too_often(request)
        if busy is not None:
            return busy
        # Read first: strangers who send a body byte by byte must not take the places of those who join.
        data = await self._body(request)
        if isinstance(data, web.Response):
            return data
        if self._under_way >= self._settings.concurrent:
            return _failure(429, "TooManyRequests", "too many devices are joining at once", retry_after_s=2)
        self._under_way += 1
        try:
            answer = await self._enrol(data)
        finally:
            self._under_way -= 1
        self._note(request, answer)
        return answer

    async def _body(self, request: web.Request) -> bytes | web.Response:
        """Return the request's body, or what to answer where it is too long or takes too long."""
        try:
            async with asyncio.timeout(self._settings.body_s):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            refusal = _failure(413, "TooLarge", f"the body is over {MAX_BODY_BYTES} bytes")
            self._note(request, refusal)
        except TimeoutError:
            refusal = _failure(408, "Timeout", f"the body did not arrive within {self._settings.body_s:g} s")
            refusal.force_close()
        return refusal

    async def _enrol(self, data: bytes) -> web.Response:
        try:
            joined = await self._joining.join(_parse(data))
        except ValidationError as exc:
            return _failure(400, "BadRequest", _first_error(exc))
        except TokenError as exc:
            return _failure(400 if exc.reason == "TokenMalformed" else 401, exc.reason, str(exc))
        except CsrRefused as exc:
            return _failure(403, "CsrRefused", str(exc))
        except LabelRefused as exc:
            return _failure(403, "LabelRefused", str(exc))
        except ApiError as exc:
            return _failure(503, "Unavailable", exc.message, retry_after_s=exc.retry_after_s or 5)
        return web.json_response(
            {
                "node": joined.node,
                "certificate": joined.certificate_pem,
                "ca": self._ca.certificate_pem.decode("ascii"),
                "hub": {"websocket": list(self._hub_urls())},
            }
        )

    def _too_often(self, request: web.Request) -> web.Response | None:
        wait_s = self._rates.wait_s(request.remote or "", self._clock.monotonic())
        if not wait_s:
            return None
        return _failure(429, "TooManyRequests", "this address asks too often", retry_after_s=math.ceil(wait_s))

    def _note(self, request: web.Request, answer: web.Response) -> None:
        if answer.status == 200:
            self.joined_total += 1
            return
        self.refused_total += 1
        log.warning("enrolment refused", address=request.remote, status=answer.status, answer=answer.text)


def _parse(data: bytes) -> JoinRequest:
    body = EnrolBody.model_validate_json(data)
    return JoinRequest(
        token=body.token,
        csr_pem=body.csr.encode(),
        instance_id=body.instance_id,
        labels=body.labels,
        runtimes=tuple(body.runtimes),
    )


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _failure(status: int, reason: str, message: str, *, retry_after_s: int | None = None) -> web.Response:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return web.json_response({"reason": reason, "error": message}, status=status, headers=headers)
