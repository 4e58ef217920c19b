"""How many examples Hypothesis tries for properties that are worth more than its usual hundred, or can afford fewer."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings

_USUAL: Final = 100


def trying(examples: int, **more: Any) -> settings:
    """Return the settings of a property.

    Args:
        examples: How many ``make test`` tries. A number in a decorator outranks the profile: so that ``make check``
            stays quick, its profile's smaller one is taken here.
        more: Further settings.
    """
    of_profile = settings().max_examples
    return settings(max_examples=examples if of_profile >= _USUAL else min(examples, of_profile), deadline=None, **more)
