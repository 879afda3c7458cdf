"""`python -m bench.compare ONE.json OTHER.json`: the ratios on which two runs of the benchmark do not agree.

Exit code: 1 if there is one whose figure does not say why it varies.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figures import COMPARABLE, Figure, Measurements, number


def differing(one: Measurements, other: Measurements) -> Iterator[tuple[Figure, Figure]]:
    """The figures of both runs whose ratios differ by more than COMPARABLE."""
    others = {(each.part, each.name, each.baseline): each for each in other.figures}
    for figure in one.figures:
        again = others.get((figure.part, figure.name, figure.baseline))
        if again and figure.ratio and again.ratio:
            low, high = sorted((figure.ratio, again.ratio))
            if high > low * (1 + COMPARABLE):
                yield figure, again


def main(one: str, other: str) -> int:
    """Print the figures that differ; returns the exit code."""
    found = list(differing(*(Measurements.load(Path(name)) for name in (one, other))))
    for figure, again in found:
        ratios = " and ".join(number(each.ratio or 0) for each in (figure, again))
        reason = f" ({figure.varies})" if figure.varies else ""
        print(f"{figure.part}: {figure.name} / {figure.baseline}: {ratios}{reason}")
    if not found:
        print(f"all ratios agree within {COMPARABLE:.0%}")
    return int(any(not figure.varies for figure, _ in found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
