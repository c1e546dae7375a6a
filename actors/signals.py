"""How a process is asked to stop: SIGTERM, or Ctrl-C."""

import asyncio
import signal


def asked_to_stop() -> asyncio.Future[str]:
    """Has the name of the first such signal once it has come; from now on none ends the process by itself."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _note, stop, number)
    return stop


def _note(stop: asyncio.Future[str], number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number.name)
