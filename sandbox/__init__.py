"""A Discord on loopback: the gateway and the REST API an unmodified discord.py 2.7.1 client can live in.

For tests, the demo and chaos. It knows Discord and nothing of InviteLedger; it is reached only through
`DISCORD_API_URL`, and driven from Python through `Sandbox.world`.
"""

from sandbox.answers import Message, Reply
from sandbox.faults import Bend, Fault, Gate
from sandbox.interactions import NotAllowedError
from sandbox.models import NI, VANITY, Guild, Invite, Join, JoinSource, Leave, Permission, User
from sandbox.server import Sandbox
from sandbox.violations import Violation
from sandbox.world import World

__all__ = [
    "NI",
    "VANITY",
    "Bend",
    "Fault",
    "Gate",
    "Guild",
    "Invite",
    "Join",
    "JoinSource",
    "Leave",
    "Message",
    "NotAllowedError",
    "Permission",
    "Reply",
    "Sandbox",
    "User",
    "Violation",
    "World",
]
