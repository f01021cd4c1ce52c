"""How far a share that was seen in a sample may be off. Pure arithmetic; 95 %."""

from __future__ import annotations

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
