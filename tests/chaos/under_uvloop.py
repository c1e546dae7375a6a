"""The bot as `run` starts it, on uvloop's event loop: `python -m tests.chaos.under_uvloop run`."""

import asyncio

import uvloop

from supervisor import main

if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    main()
