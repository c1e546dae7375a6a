"""Coroutines that wait in every way there is, for the tests of the probe."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


async def steps() -> AsyncIterator[int]:
    for number in range(2):
        await asyncio.sleep(0)
        yield number


@asynccontextmanager
async def room() -> AsyncIterator[None]:
    await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)


async def everything() -> list[int]:
    async with room():
        await asyncio.sleep(0)
    async for _ in steps():
        pass
    left, right = await anext(steps()), await anext(steps())
    return [left, right, *[step async for step in steps()]]


async def waits_for(done: "asyncio.Future[str]") -> str:
    return await done
