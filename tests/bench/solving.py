"""The solver: how long a window takes to work out. Instances differ in every join, so that none can be grouped."""

import time
from random import Random
from statistics import median
from typing import Final

from ledger.ids import InviteCode
from ledger.solver import Claim, Source, solve
from tests.bench.figures import Row, Theme
from tests.bench.ground import Ground

REPEATS: Final = 20


def theme(_ground: Ground) -> Theme:
    return Theme(title="Solver", rows=(_small(), _large("forced"), _large("open")))


def _small() -> Row:
    claims, sources = window(20, 50, proven=0.5)

    async def ours() -> float:
        return median(_took_s(claims, sources) for _ in range(REPEATS)) * 1_000

    return Row(
        name="solve/20x50",
        what="a window of 20 joins and 50 sources, half of them proven",
        unit="ms",
        ours=ours,
        wanted=2,
        at_most=True,
    )


def _large(kind: str) -> Row:
    claims, sources = nested(1_000) if kind == "forced" else window(1_000, 1_000, proven=0.5)

    async def ours() -> float:
        return _took_s(claims, sources)

    return Row(
        name=f"solve/1000/{kind}",
        what="1,000 joins and 1,000 sources, "
        + ("each join forced by the next" if kind == "forced" else "most of it undecided"),
        unit="s",
        ours=ours,
        wanted=2,
        at_most=True,
    )


def _took_s(claims: list[Claim], sources: list[Source]) -> float:
    began = time.perf_counter()
    solve(claims, sources)
    return time.perf_counter() - began


def window(joins: int, codes: int, *, proven: float) -> tuple[list[Claim], list[Source]]:
    """Joins that each leave out a third of the codes; what they used is proven, or there is room for two more."""
    luck = Random(joins)
    names = [InviteCode(str(number)) for number in range(codes)]
    claims, uses = list[Claim](), [0] * codes
    for _ in range(joins):
        used = luck.randrange(codes)
        uses[used] += 1
        without = frozenset(luck.sample(names, codes // 3)) - {names[used]}
        claims.append(Claim(gaps=frozenset({1}), excluded=without, optional=False))
    exact = [luck.random() < proven for _ in names]
    sources = [
        Source(code=name, gap=1, uses=count + (0 if sure else 2), exact=sure)
        for name, count, sure in zip(names, uses, exact, strict=True)
    ]
    return claims, sources


def nested(many: int) -> tuple[list[Claim], list[Source]]:
    """The first join may have used any code, each next one all but the last one fewer; each code was used once."""
    names = [InviteCode(str(number)) for number in range(many)]
    claims = [
        Claim(gaps=frozenset({1}), excluded=frozenset(names[many - number :]), optional=False)
        for number in range(many)
    ]
    return claims, [Source(code=name, gap=1, uses=1, exact=True) for name in names]
