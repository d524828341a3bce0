"""All that chance can do: exact distributions over outcomes, where the branches are few enough to follow each."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

NEGLIGIBLE = 1e-9
"""Rare options that make a branch less likely are not followed: a search among seven cells fails with 4e-10 (R6.4)."""

MOST_BRANCHES = 100
"""This many times 1 / `least`, and no more, are followed."""


class TooManyBranchesError(Exception):
    """An ordinary branch is less likely than the given limit, or there are far too many others."""


class _PrescribedChoices:
    """Stands in for `random.Random`: follows a path of choices, and takes the first option where the path ends."""

    def __init__(self, path: list[int]):
        self.path = path
        self.sizes: list[int] = []
        self.combinations = 1  # of the even choices
        self.weight = 1.0
        self.is_ordinary = True

    def choice(self, options: Sequence[Any]) -> Any:
        self.combinations *= len(options)
        return options[self._next(len(options))]

    def choices(self, options: Sequence[Any], weights: Sequence[float]) -> list[Any]:
        shares = [(option, weight / sum(weights)) for option, weight in zip(options, weights, strict=True)]
        likeliest = max(share for _, share in shares)
        followed = [pair for pair in shares if pair[1] == likeliest or pair[1] * self.weight >= NEGLIGIBLE]
        option, share = followed[self._next(len(followed))]
        self.weight *= share
        self.is_ordinary &= share == likeliest
        return [option]

    def sample(self, options: Sequence[Any], count: int) -> Any:
        raise TooManyBranchesError

    def _next(self, size: int) -> int:
        depth = len(self.sizes)
        self.sizes.append(size)
        if depth == len(self.path):
            self.path.append(0)
        return self.path[depth]


class Branch(NamedTuple):
    """One way that chance can go."""

    result: Any
    probability: float
    is_ordinary: bool
    """Each weighted choice takes its likeliest option."""


def branches(play: Callable[[Any], Any], *, least: float) -> Iterator[Branch]:
    """Every result that `play(rng)` can have, one branch after the other; equal results are not merged.

    Raises TooManyBranchesError when its even choices make an ordinary branch less likely than `least`. Other branches
    may be as unlikely as they come, up to a number. Without the NEGLIGIBLE ones the probabilities sum to almost 1.
    """
    path: list[int] = []
    count = 0
    while True:
        choices = _PrescribedChoices(path)
        result = play(choices)
        count += 1
        if (choices.is_ordinary and 1 / choices.combinations < least) or count > MOST_BRANCHES / least:
            raise TooManyBranchesError
        yield Branch(result, choices.weight / choices.combinations, choices.is_ordinary)
        sizes = choices.sizes
        while path and path[-1] == sizes[len(path) - 1] - 1:
            path.pop()
        if not path:
            return
        path[-1] += 1
