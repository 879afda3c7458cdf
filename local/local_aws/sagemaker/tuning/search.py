"""The strategies of a tuning job: which hyperparameters its next training job gets."""

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from local_aws.sagemaker.api.errors import ValidationException

LOGARITHMIC_FROM = 100.0
"""From this ratio of its bounds on, `Auto` scales a range logarithmically; AWS does not document its own rule."""
AT_RANDOM = 2
"""As many results come before the first point by the Gaussian process."""
CANDIDATES = 5000
LENGTHS = (0.3, 10.0)
"""The limits of the distance, in each dimension, over which results resemble each other."""
NOISE = 1e-4
"""The variance of a result's error, of results with the variance 1."""
Point = tuple[float, ...]
"""A place in each dimension, from 0 to 1."""


@dataclass(frozen=True)
class Dimension:
    """A hyperparameter that is tuned: one of `values`, or a number from `low` to `high`."""

    name: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    scaling: str = "Auto"

    def at(self, place: float) -> str:
        """The value at a place from 0 to 1, as a training job gets it."""
        if self.values:
            return self.values[min(int(place * len(self.values)), len(self.values) - 1)]
        low, high = (
            (self.low - 0.5, self.high + 0.5) if self.whole and self._scaling == "Linear" else (self.low, self.high)
        )
        match self._scaling:
            case "Logarithmic":
                number = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
            case "ReverseLogarithmic":
                number = 1 - math.exp(math.log(1 - low) + place * (math.log(1 - high) - math.log(1 - low)))
            case _:
                number = low + place * (high - low)
        number = min(max(round(number) if self.whole else number, self.low), self.high)
        return str(int(number)) if self.whole else repr(float(number))

    @property
    def _scaling(self) -> str:
        wide = self.low > 0 and self.high / self.low >= LOGARITHMIC_FROM
        return ("Logarithmic" if wide else "Linear") if self.scaling == "Auto" else self.scaling


def dimensions(ranges: dict[str, Any]) -> list[Dimension]:
    """The dimensions of a ParameterRanges. Raises ValidationException: a range is none, or a name is there twice."""
    found = [Dimension(each["Name"], tuple(each["Values"])) for each in ranges.get("CategoricalParameterRanges", [])]
    for kind in ("Integer", "Continuous"):
        found += [_numbers(each, whole=kind == "Integer") for each in ranges.get(f"{kind}ParameterRanges", [])]
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValidationException(f"The hyperparameter ranges name {', '.join(twice)} more than once.")
    if not found:
        raise ValidationException("The hyperparameter ranges name no hyperparameter: tune at least one.")
    return found


def _numbers(given: dict[str, Any], *, whole: bool) -> Dimension:
    name, scaling, kind = given["Name"], given.get("ScalingType", "Auto"), "integer" if whole else "number"
    try:
        low, high = ((int if whole else float)(given[bound]) for bound in ("MinValue", "MaxValue"))
    except ValueError:
        raise ValidationException(
            f"The range of {name} must have a MinValue and a MaxValue that are of the type {kind}."
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValidationException(f"The MinValue of {name}, {low}, must be less than its MaxValue, {high}.")
    if scaling == "Logarithmic" and low <= 0:
        raise ValidationException(f"The range of {name} must be greater than 0 for the scaling type Logarithmic.")
    if scaling == "ReverseLogarithmic" and (whole or low < 0 or high >= 1):
        raise ValidationException(f"The range of {name} must be within 0 <= x < 1 for the scaling type {scaling}.")
    return Dimension(name, low=low, high=high, whole=whole, scaling=scaling)


class Search(Protocol):
    """A strategy: `suggest` gives the next point, and `learn` takes what came of one, larger for better."""

    def suggest(self) -> Point:
        """The next point."""

    def learn(self, point: Point, value: float) -> None:
        """Take in a result."""


class Random:
    """Points at random."""

    def __init__(self, size: int, seed: int | None) -> None:
        self._size, self._random = size, np.random.default_rng(seed)

    def suggest(self) -> Point:
        """The next point."""
        return tuple(self._random.random(self._size).tolist())

    def learn(self, point: Point, value: float) -> None:
        """Nothing is learnt."""


class Grid(Random):
    """Every combination of categorical values, in their order; each place is the middle of its value's part."""

    def __init__(self, space: list[Dimension]) -> None:
        super().__init__(len(space), None)
        parts = ([(number + 0.5) / len(each.values) for number in range(len(each.values))] for each in space)
        self._points: Iterator[Point] = itertools.product(*parts)

    def suggest(self) -> Point:
        """The next point; there are no more than combinations."""
        return next(self._points)


class Bayesian(Random):
    """The point of the largest expected improvement, by a Gaussian process of the results (scikit-learn's).

    Jones et al., "Efficient Global Optimization of Expensive Black-Box Functions", 1998. Points without a result yet
    are taken to have the expected one, so that jobs in parallel try different places (the "kriging believer" of
    Ginsbourger et al., "Kriging is well-suited to parallelize optimization", 2010).
    """

    def __init__(self, size: int, seed: int | None) -> None:
        super().__init__(size, seed)
        self._values: dict[Point, float] = {}
        self._waiting: list[Point] = []

    def suggest(self) -> Point:
        """The next point; the first ones, before there are results, are at random."""
        point = super().suggest() if len(self._values) < AT_RANDOM else self._most_promising()
        self._waiting.append(point)
        return point

    def learn(self, point: Point, value: float) -> None:
        """Take in a result."""
        self._values[point] = value
        self._waiting.remove(point)

    def _most_promising(self) -> Point:
        # Loading these takes a second, which only a tuning job of this strategy is to pay.
        from scipy.stats import norm
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern

        points, values = np.array([*self._values]), np.array([*self._values.values()])
        kernel = Matern(length_scale=np.ones(self._size), length_scale_bounds=LENGTHS, nu=2.5)
        process = GaussianProcessRegressor(kernel, alpha=NOISE, normalize_y=True, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a length ends at its bound
            process.fit(points, values)
        if self._waiting:
            waiting = np.array(self._waiting)
            believed = process.predict(waiting)
            process.set_params(kernel=process.kernel_, optimizer=None)
            process.fit(np.concatenate([points, waiting]), np.concatenate([values, believed]))
        best = values.max()
        candidates = self._random.random((CANDIDATES, self._size))
        mean, deviation = process.predict(candidates, return_std=True)
        gain = (mean - best) / np.maximum(deviation, 1e-12)
        improvement = deviation * (gain * norm.cdf(gain) + norm.pdf(gain))
        return tuple(candidates[np.argmax(improvement)].tolist())


def search(strategy: str, space: list[Dimension], seed: int | None) -> Search:
    """The search of a strategy."""
    if strategy == "Grid":
        return Grid(space)
    return Bayesian(len(space), seed) if strategy == "Bayesian" else Random(len(space), seed)
