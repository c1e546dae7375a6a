"""`python -m sandbox`: a small world to point a bot at by hand.

Prints one JSON line with `api_url` and `token` (with --export the line for a shell to start a bot with), then lets
somebody join every few seconds.
"""

import argparse
import asyncio
import json
import sys
from contextlib import suppress
from random import Random

from sandbox.models import VANITY, Guild
from sandbox.server import Sandbox


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A Discord on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same people")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="time between joins")
    parser.add_argument("--export", action="store_true", help="print a line to paste into a shell, instead of JSON")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


async def _serve(args: argparse.Namespace) -> None:
    async with Sandbox(seed=args.seed, port=args.port) as sandbox:
        guild = sandbox.world.add_guild(vanity="harbour")
        for _ in range(3):
            sandbox.world.add_invite(guild, sandbox.world.add_staff(guild))
        told = _exports(sandbox) if args.export else _facts(sandbox, guild)
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()
        await _let_people_in(sandbox, guild, args.every, Random(args.seed))  # noqa: S311  # a story, no secret


def _exports(sandbox: Sandbox) -> str:
    return f"export DISCORD_API_URL={sandbox.api_url} DISCORD_TOKEN={sandbox.token}"


def _facts(sandbox: Sandbox, guild: Guild) -> str:
    return json.dumps({"api_url": sandbox.api_url, "token": sandbox.token, "guild_id": str(guild.id)})


async def _let_people_in(sandbox: Sandbox, guild: Guild, every_s: float, rng: Random) -> None:
    while True:
        await asyncio.sleep(every_s)
        codes = [invite.code for invite in sandbox.world.invites_at(guild)]
        sandbox.world.join(guild, via=rng.choice([*codes, *codes, VANITY, None]))


if __name__ == "__main__":
    main()
