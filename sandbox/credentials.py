"""Who calls: a bot's token and what else people paste in its place, and where each of them is let in.

A bot's token works as `Bot …` only. An OAuth2 token (`Bearer …`) and a person's own (bare) open `/users/@me` and
nothing else here.
"""

from enum import Enum, auto
from random import Random
from typing import Final

from sandbox.application import Application
from sandbox.wire import bot_token

USER_TOKEN: Final = "mfa.of-a-person"  # noqa: S105  # made up
BEARER_TOKEN: Final = "oauth2-of-a-person"  # noqa: S105  # made up


class Caller(Enum):
    BOT = auto()
    BEARER = auto()
    USER = auto()
    NOBODY = auto()


class Credentials:
    """`token` is the bot's; `user_token` and `bearer_token` belong to the application's owner."""

    def __init__(self, application: Application, token: str | None, rng: Random) -> None:
        self._application = application
        self._rng = rng
        self.token = token or bot_token(application.bot.id, rng)
        self.user_token = USER_TOKEN
        self.bearer_token = BEARER_TOKEN

    def reset(self) -> None:
        """The old token is worth nothing from now on; the new one is `token`."""
        self.token = bot_token(self._application.bot.id, self._rng)

    def caller(self, authorization: str) -> Caller:
        forms = {
            f"Bot {self.token}": Caller.BOT,
            f"Bearer {self.bearer_token}": Caller.BEARER,
            self.user_token: Caller.USER,
        }
        found = forms.get(authorization, Caller.NOBODY)
        return found if found is not Caller.BOT or self._application.has_bot else Caller.NOBODY
