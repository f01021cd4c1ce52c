"""What a sample says about the whole, and how far it may be off. Pure arithmetic; 95 % throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


def wilson(yes: int, seen: int) -> tuple[float, float]:
    """The interval of a share of which ``yes`` of ``seen`` are a sample.

    The score interval of E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    Journal of the American Statistical Association 22 (1927), 209-212. With nothing seen it is all from 0 to 1.

    >>> tuple(round(end, 3) for end in wilson(31, 34))
    (0.77, 0.97)
    """
    if seen == 0:
        return 0.0, 1.0
    share, square = yes / seen, Z * Z
    middle = (share + square / (2 * seen)) / (1 + square / seen)
    half = Z / (1 + square / seen) * sqrt(share * (1 - share) / seen + square / (4 * seen * seen))
    return max(0.0, middle - half), min(1.0, middle + half)


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t, by the expansion of Abramowitz and Stegun, 26.7.5; exact for 1 and 2."""
    if freedom <= 1:
        return 12.7062047361747
    if freedom == 2:
        return 4.30265272974946
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


@dataclass(frozen=True, slots=True)
class Range:
    """An amount with its interval."""

    low: float
    middle: float
    high: float


def total(sample: Sequence[tuple[float, float]], count: int, sizes: float) -> Range | None:
    """What ``count`` items cost that weigh ``sizes`` together, told by a sample of (size, cost); None without one.

    A straight line through the sample by least squares, and its prediction for the mean size (N. R. Draper,
    H. Smith, "Applied Regression Analysis", 1.4): a sample that has more of the longest and shortest than there are
    does not mislead it, as their mean would. The mean serves where all sizes are alike, where there are fewer than
    four, or where larger items do not cost more.
    """
    seen = len(sample)
    if not seen or not count:
        return Range(0.0, 0.0, 0.0) if not count else None
    mean_size = sum(size for size, _ in sample) / seen
    mean = sum(cost for _, cost in sample) / seen
    spread = sum((size - mean_size) ** 2 for size, _ in sample)
    slope = sum((size - mean_size) * (cost - mean) for size, cost in sample) / spread if spread else 0.0
    if seen < 4 or slope <= 0:
        slope, spread, free = 0.0, 0.0, seen - 1
    else:
        free = seen - 2
    away = sizes / count - mean_size
    middle = mean + slope * away
    if free < 1:
        return Range(0.0, count * middle, 2 * count * middle)
    rest = sum((cost - mean - slope * (size - mean_size)) ** 2 for size, cost in sample) / free
    lever = away * away / spread if spread else 0.0
    half = student(free) * sqrt(rest * (1 / seen + lever + 1 / count))
    return Range(max(0.0, count * (middle - half)), count * max(0.0, middle), count * (middle + half))
