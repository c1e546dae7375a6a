"""What discord.py leaves behind where a connection ends between its HELLO and its IDENTIFY: a heart that beats on.

In the bot that thread closes its socket when ``SILENCE_S`` is over. In tests its event loop is gone by then, and the
thread holds a session that nobody closes.
"""

import threading


def stop_heartbeats() -> None:
    """Ends those that are there; each holds a connection, whoever made it."""
    for thread in threading.enumerate():
        if thread.name.startswith("keep-alive-handler"):
            thread.stop()  # type: ignore[attr-defined] -- discord.gateway.KeepAliveHandler
            thread.join(1.0)
