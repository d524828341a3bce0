"""Whether outcomes occur as often as they should: counts against exact probabilities."""

from collections.abc import Hashable, Iterable, Mapping

from scipy.stats import chi2, poisson

COMMON = 0.5
"""Outcomes that are expected less often are too few for a chi-square test."""


def significance(samples: Iterable[tuple[Mapping[Hashable, int], Mapping[Hashable, float]]]) -> float:
    """Of all (counts, probabilities) together: a chi-square test over what is common, and the number of rare ones.

    An outcome without a probability makes it 0.
    """
    deviation = freedom = expected = 0.0
    found = 0
    for counts, probabilities in samples:
        if any(count and key not in probabilities for key, count in counts.items()):
            return 0.0
        total = sum(counts.values())
        for key, probability in probabilities.items():
            mean = probability * total
            if mean >= COMMON:
                deviation += (counts.get(key, 0) - mean) ** 2 / mean
                freedom += 1 - probability
            else:
                expected += mean
                found += counts.get(key, 0)
    of_common = float(chi2.sf(deviation, freedom)) if freedom > 1e-6 else 1.0
    of_rare = 2 * min(poisson.cdf(found, expected), poisson.sf(found - 1, expected)) if expected else 1.0
    return min(of_common, of_rare, 1.0)
