"""All that chance can do: exact distributions over outcomes, where the branches are few enough to follow each."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any


class TooManyBranchesError(Exception):
    """A branch is less likely than the given limit."""


class _PrescribedChoices:
    """Stands in for `random.Random`: follows a path of choices, and takes the first option where the path ends."""

    def __init__(self, path: list[int]):
        self.path = path
        self.sizes: list[int] = []

    def choice(self, options: Sequence[Any]) -> Any:
        depth = len(self.sizes)
        self.sizes.append(len(options))
        if depth == len(self.path):
            self.path.append(0)
        return options[self.path[depth]]

    def sample(self, options: Sequence[Any], count: int) -> Any:
        raise TooManyBranchesError


def branches(play: Callable[[Any], Any], *, least: float) -> Iterator[tuple[Any, float]]:
    """Every result that `play(rng)` can have, with its probability, one branch after the other (equal ones not merged).

    Raises TooManyBranchesError when a branch has a probability below `least`; there are 1 / `least` branches at most.
    """
    path: list[int] = []
    while True:
        choices = _PrescribedChoices(path)
        result = play(choices)
        sizes = choices.sizes
        probability = 1 / prod(sizes)
        if probability < least:
            raise TooManyBranchesError
        yield result, probability
        while path and path[-1] == sizes[len(path) - 1] - 1:
            path.pop()
        if not path:
            return
        path[-1] += 1
