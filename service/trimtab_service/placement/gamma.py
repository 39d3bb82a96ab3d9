"""Quantiles of the Gamma distribution, by the standard library alone."""

from math import exp, inf, lgamma, log, sqrt
from statistics import NormalDist
from typing import Final

_PRECISION: Final = 1e-13
_MAX_TERMS: Final = 100_000
_MAX_STEPS: Final = 200
_TINY: Final = 1e-300


def gamma_cdf(shape: float, x: float) -> float:
    """P(a, x): probability that a Gamma variable of this shape and rate 1 is at most `x`.

    Series below a + 1, Lentz's continued fraction above (Abramowitz and Stegun 6.5.29 and 6.5.31).
    """
    if x <= 0.0:
        return 0.0
    if x == inf:
        return 1.0
    scale = exp(shape * log(x) - x - lgamma(shape))
    return scale * _series(shape, x) if x < shape + 1.0 else 1.0 - scale * _fraction(shape, x)


def gamma_quantile(shape: float, rate: float, probability: float) -> float:
    """The x below which a Gamma(shape, rate) variable lies with `probability`, to about 10 digits.

    Newton's steps kept inside a shrinking bracket. Quantiles too small for a double are 0.
    """
    if not 0.0 < probability < 1.0:
        return 0.0 if probability <= 0.0 else inf
    low, high = 0.0, inf
    x = _first_guess(shape, probability)
    for _ in range(_MAX_STEPS):
        if x < _TINY:
            return 0.0
        error = gamma_cdf(shape, x) - probability
        if error > 0.0:
            high = x
        else:
            low = x
        density = exp((shape - 1.0) * log(x) - x - lgamma(shape))
        following = x - error / density if density > 0.0 else -1.0
        if not low < following < high:
            following = 2.0 * low if high == inf else 0.5 * (low + high)
        if abs(following - x) <= _PRECISION * x:
            break
        x = following
    return x / rate


def _first_guess(shape: float, probability: float) -> float:
    """Wilson and Hilferty's cube where it is positive, else the leading term of the series."""
    cube = 1.0 - 1.0 / (9.0 * shape) + NormalDist().inv_cdf(probability) / (3.0 * sqrt(shape))
    if shape >= 1.0 and cube > 0.0:
        return shape * cube**3
    return exp((log(probability) + lgamma(shape + 1.0)) / shape)


def _series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for n in range(1, _MAX_TERMS):
        term *= x / (shape + n)
        total += term
        if term < total * _PRECISION:
            break
    return total


def _fraction(shape: float, x: float) -> float:
    b = x + 1.0 - shape
    c = 1.0 / _TINY
    d = 1.0 / b
    value = d
    for n in range(1, _MAX_TERMS):
        a = -n * (n - shape)
        b += 2.0
        d = 1.0 / ((a * d + b) or _TINY)
        c = (b + a / c) or _TINY
        step = d * c
        value *= step
        if abs(step - 1.0) < _PRECISION:
            break
    return value
