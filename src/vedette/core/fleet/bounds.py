"""How sure a share is that was measured on so many objects. Pure.

The exact interval (C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
the binomial", Biometrika 26, 1934): wrong no more often than it says, whatever the share and however few the objects.
It is made for observations of 0 and 1. Shares between 0 and 1 of the same mean vary less, so that it errs on the safe
side.
"""

from __future__ import annotations

import math
from typing import Final

#: Where no number of objects that anybody would wait for tells a share from a limit.
FAR_TOO_MANY: Final = 1_000_000
_TINY: Final = 1e-300
_PRECISION: Final = 1e-12
_MOST_TERMS: Final = 10_000
_HALVINGS: Final = 40


def lower(share: float, objects: int, confidence: float) -> float:
    """The least that the true share is, at that confidence.

    Args:
        share: measured, 0..1.
        objects: that it was measured on, at least one.
        confidence: one-sided, 0..1.
    """
    seen = min(share, 1.0) * objects
    if seen <= 0.0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # So many or more are seen no more often than one in 1 / (1 - confidence), if the true share is this.
        if _beta(middle, seen, objects - seen + 1) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def surely_at_least(share: float, objects: int, limit: float, confidence: float) -> bool:
    """Whether ``lower`` is a limit or more; quicker than asking for it."""
    seen = min(share, 1.0) * objects
    if seen <= 0.0:
        return limit <= 0.0
    return _beta(limit, seen, objects - seen + 1) <= 1 - confidence


def surely_below(share: float, objects: int, limit: float, confidence: float) -> bool:
    """Whether ``upper`` is less than a limit; quicker than asking for it."""
    unseen = (1.0 - min(share, 1.0)) * objects
    return unseen > 0.0 and _beta(1.0 - limit, unseen, objects - unseen + 1) < 1 - confidence


def upper(share: float, objects: int, confidence: float) -> float:
    """The most that the true share is, at that confidence; as ``lower``."""
    return 1.0 - lower(1.0 - share, objects, confidence)


def objects_needed(share: float, limit: float, confidence: float, *, at_least: int) -> int | None:
    """On how many objects the same share would be told from a limit, on whichever side of it it is.

    Args:
        share: measured.
        limit: of it.
        confidence: one-sided.
        at_least: fewer never decide.

    Returns:
        None where it is too near the limit.
    """

    def told(objects: int) -> bool:
        if share >= limit:
            return surely_at_least(share, objects, limit, confidence)
        return surely_below(share, objects, limit, confidence)

    few, many = at_least - 1, at_least
    while not told(many):
        few, many = many, many * 2
        if many > FAR_TOO_MANY:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if told(middle) else (middle, many)
    return many


def _beta(at: float, one: float, other: float) -> float:
    """The regularised incomplete beta function, as a continued fraction (DLMF 8.17.22), by Lentz's method."""
    if at <= 0.0 or at >= 1.0:
        return min(1.0, max(0.0, at))
    if at > (one + 1) / (one + other + 2):
        return 1.0 - _beta(1.0 - at, other, one)
    scale = math.lgamma(one + other) - math.lgamma(one) - math.lgamma(other)
    front = math.exp(scale + one * math.log(at) + other * math.log1p(-at)) / one
    numerator, denominator = 1.0, 1.0 / _away(1.0 - (one + other) * at / (one + 1))
    value = denominator
    for term in range(1, _MOST_TERMS):
        twice = one + 2 * term
        even = term * (other - term) * at / ((twice - 1) * twice)
        odd = -(one + term) * (one + other + term) * at / (twice * (twice + 1))
        for factor in (even, odd):
            denominator = 1.0 / _away(1.0 + factor * denominator)
            numerator = _away(1.0 + factor / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1.0) < _PRECISION:
            break
    return front * value


def _away(value: float) -> float:
    """Away from zero."""
    return value if abs(value) > _TINY else _TINY
