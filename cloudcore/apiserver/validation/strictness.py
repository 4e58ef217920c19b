"""What ``fieldValidation`` makes of a body that says more than its kind has, or says it twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cloudcore.apiserver.context import Context
from cloudcore.errors import BadRequest, Cause


@dataclass(frozen=True, slots=True)
class Slip:
    """Something in a body that is most likely a mistake.

    Attributes:
        text: What is wrong, as Kubernetes words it: ``unknown field "spec.x"``.
        path: The field.
    """

    text: str
    path: str


def report(slips: Sequence[Slip], context: Context) -> None:
    """Refuse a body for its slips, warn of them, or let them pass, as the request asks.

    Raises:
        BadRequest: There are some, and validation is strict; the causes name the fields.
    """
    if slips and context.field_validation == "Strict":
        raise BadRequest(
            f"strict decoding error: {', '.join(slip.text for slip in slips)}",
            causes=[Cause("FieldValueInvalid", slip.text, slip.path) for slip in slips],
        )
    if context.field_validation == "Warn":
        context.warnings.extend(slip.text for slip in slips)
