"""What the rest will cost, as a measurement: from the first items that are done, with an interval.

The cost of an item is taken to rise with the size of its input by a straight line. The line is fitted to the items
that are done and read at the mean size of those that are left: a regression estimator, as in survey sampling
(W. G. Cochran, *Sampling Techniques*, chapter 7). Its error is that of weighted residuals with each point's leverage
taken out (HC3: J. G. MacKinnon and H. White, 1985), since dear items also vary more. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

ENOUGH = 12
"""Items from which on a plan calls it a measurement; fewer say too little of how items differ."""
FOR_A_LINE = 4
"""Items from which on a line is fitted."""
LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Forecast:
    """What ``items`` more will cost, in 10⁻⁹ USD: ``mean``, and ``low`` to ``high`` in so many
    cases as its level says, nine of ten where nothing else is asked for.

    ``measured`` is the number of items that it was measured on.
    """

    items: int
    measured: int
    low: int
    mean: int
    high: int


def forecast(
    done: Sequence[tuple[float, int]],
    items: int,
    size: float | None = None,
    *,
    size_error: float = 0.0,
    level: float = LEVEL,
) -> Forecast | None:
    """From (size of the input, cost) of items that are done. None without any.

    ``size`` is the mean size of the items that are left; without it the mean cost counts, and so it does for fewer
    than four items, and where larger ones do not cost more. One item says: up to twice as much.
    ``size_error`` is the standard error of that mean, where not all of them were looked at.
    The items that are done should be drawn at random, else what they have in common is in the forecast.
    """
    count = len(done)
    if not count:
        return None
    mean_size = sum(each for each, _ in done) / count
    mean_cost = sum(cost for _, cost in done) / count
    spread = sum((each - mean_size) ** 2 for each, _ in done)
    slope = sum((each - mean_size) * (cost - mean_cost) for each, cost in done) / spread if spread else 0.0
    if count < FOR_A_LINE or slope <= 0:
        slope = spread = 0.0
    away = 0.0 if size is None else size - mean_size
    variance = residuals = 0.0
    for each, cost in done:
        leverage = 1 / count + ((each - mean_size) ** 2 / spread if spread else 0.0)
        residual = (cost - mean_cost - slope * (each - mean_size)) / max(1e-9, 1 - leverage)
        weight = 1 / count + (away * (each - mean_size) / spread if spread else 0.0)
        variance += (weight * residual) ** 2
        residuals += residual**2
    mean = max(0.0, mean_cost + slope * away)
    error = math.sqrt(variance + residuals / count / max(1, items) + (slope * size_error) ** 2)
    freedom = count - (2 if spread else 1)
    reach = student((1 + level) / 2, freedom) * error if freedom else mean
    return Forecast(
        items,
        count,
        low=max(0, round(items * (mean - reach))),
        mean=round(items * mean),
        high=round(items * (mean + reach)),
    )


def student(share: float, freedom: int) -> float:
    """Quantile of Student's distribution, by the expansion in powers of 1/freedom (Abramowitz and Stegun 26.7.5).

    Exact for one and two degrees of freedom, within 0.5 % for four and more, at shares from 0.5 to 0.99.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = NormalDist().inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
