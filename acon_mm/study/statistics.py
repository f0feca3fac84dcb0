"""Means over seeds and paired differences."""
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = .95


class Difference(NamedTuple):
    """An activation's metric less the baseline's of the same seed.

    Attributes:
        each (list[float]): By seed.
        mean (float): Over the seeds.
        low, high (float): The interval of Student's t that holds the true
            mean with :data:`CONFIDENCE`; infinite for one seed.
    """
    each: list[float]
    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """'better', 'worse' or 'undecided'."""
        if self.low > 0:
            return 'better'
        return 'worse' if self.high < 0 else 'undecided'


def paired(values: dict[str, float],
           baseline: dict[str, float]) -> Difference | None:
    """The difference over the seeds that both have, None without one.

    Args:
        values, baseline (dict[str, float]): The metric by seed.
    """
    each = [values[s] - baseline[s] for s in values if s in baseline]
    if not each:
        return None
    mean = float(np.mean(each))
    if len(each) == 1:
        return Difference(each, mean, -np.inf, np.inf)
    half = stats.sem(each) * stats.t.ppf((1 + CONFIDENCE) / 2, len(each) - 1)
    return Difference(each, mean, float(mean - half), float(mean + half))


def by_seed(rows: list[dict[str, str]], task: str,
            activation: str) -> dict[str, float]:
    """The metric of an activation's runs, in per cent."""
    return {
        row['seed']: percent(row['metric'], float(row['value']))
        for row in rows
        if (row['task'], row['activation']) == (task, activation)}


def percent(metric: str, value: float) -> float:
    """COCO's metrics are fractions, the others are per cent."""
    return 100 * value if metric.startswith('coco/') else value
