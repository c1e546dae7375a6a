"""Discord's REST API as far as we use it: raw JSON below the library's objects, answers or failures as values.

Rules. No call raises for what the world does; each ends within its deadline; each waits for its permit and its beat.
A sample's times enclose all of its requests: stamped right before the first is sent, right after the last answer.
What does not live here: when something is asked for (``outside``, ``commands``), what an answer means (``counters``).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeAlias, TypeVar

import discord
import msgspec
from discord.http import HTTPClient, Route

from actors.gateway.counters import counters_of
from actors.gateway.evidence import Action, Audited, Searched, audited, is_older, place_of, searched
from actors.gateway.failures import (
    TROUBLE,
    Failure,
    Forbidden,
    Malformed,
    TimedOut,
    TooLong,
    Unavailable,
    as_failure,
    outcome,
)
from actors.gateway.invitation import ENDLESS, TargetJob, Terms, body_of, form_of
from actors.gateway.pacing import Pacer, Urgency
from actors.gateway.payloads import (
    AuditPage,
    AuditRow,
    InviteRow,
    Member,
    Named,
    NamedMember,
    Place,
    SearchAnswer,
    Sent,
    VanityAnswer,
    decode,
)
from actors.traffic import RequestOutcome, RestTraffic
from ledger.ids import ChannelId, GuildId, InviteCode, SessionId, UserId
from ledger.ports import Clock
from ledger.records import Vanity
from ledger.samples import Sample

UNKNOWN_INVITE: Final = 10006
"""Discord's code beside a 404."""
DEADLINE_S: Final = 15.0
"""For one request, the library's own retries and waits included."""
MEMBERS_A_PAGE: Final = 1_000
SWEPT_A_PAGE: Final = 500
"""Half of what Discord would give: what is recorded of a page, with a credit each, must not hold the loop up."""
IDS_A_SEARCH: Final = 10
OLDEST_FIRST: Final = 2
"""How members-search sorts; by default the newest come first."""
NOBODY: Final = UserId("0")
ENTRIES_A_PAGE: Final = 100
AUDIT_PAGES: Final = 10
"""At most; one question reads 1,000 entries of one action, and 42 is rare."""

T = TypeVar("T")
Connection: TypeAlias = Callable[[], HTTPClient | None]
"""The library's HTTP client once it is logged in."""


class Rest:
    """Requests.

    Args:
        connection: whom to ask now.
        pacer: when.
        clock: stamps samples.
        deadline_s: for each request.
    """

    def __init__(self, connection: Connection, pacer: Pacer, clock: Clock, deadline_s: float = DEADLINE_S) -> None:
        self._connection = connection
        self._pacer = pacer
        self._clock = clock
        self._deadline_s = deadline_s
        self._requests: Counter[RequestOutcome] = Counter(dict.fromkeys(RequestOutcome, 0))

    async def sample(self, guild: GuildId, session: SessionId, *, vanity: bool, urgency: Urgency) -> Sample | Failure:
        """All counters of a guild; ``vanity``: it has a vanity URL, whose counter then belongs to the sample."""
        async with self._pacer.permit(urgency):
            await self._pacer.beat()
            requested_us = self._clock.stamp_us()
            rows = await self._ask(tuple[InviteRow, ...], lambda http: http.invites_from(int(guild)))
            if not isinstance(rows, tuple):
                return rows
            counters = counters_of(rows)
            if counters is None:
                return Forbidden(reason="no_invite_metadata")
            counter = await self._vanity(guild) if vanity else None
            if counter is not None and not isinstance(counter, Vanity):
                return counter
            return Sample(
                requested_us=requested_us,
                answered_us=self._clock.stamp_us(),
                session=session,
                counters=counters,
                vanity=counter,
            )

    async def invites(self, guild: GuildId) -> tuple[InviteRow, ...] | Failure:
        """The invite list as it is, for a person who waits."""
        return await self._for_person(tuple[InviteRow, ...], lambda http: http.invites_from(int(guild)))

    async def members(self, guild: GuildId, after: UserId) -> tuple[Member, ...] | Failure:
        """Up to ``MEMBERS_A_PAGE`` members with higher ids than ``after``, by rising ids."""
        async with self._pacer.permit(Urgency.LISTING):
            await self._pacer.beat()
            page = await self._ask(
                tuple[Member, ...], lambda http: http.get_members(int(guild), MEMBERS_A_PAGE, int(after))
            )
        if not isinstance(page, tuple):
            return page
        rising = tuple(sorted(page, key=lambda row: int(row.user.id)))
        if rising and int(rising[0].user.id) <= int(after):
            return Malformed(why="the member list does not go on")
        return rising

    async def audit(self, guild: GuildId, action: Action, since_us: int) -> tuple[Audited, ...] | Failure:
        """The entries of that action since then, the oldest first; the log is kept for 45 days.

        ``Forbidden`` without View Audit Log; ``TooLong`` where ``AUDIT_PAGES`` do not reach back so far.
        """
        rows: list[AuditRow] = []
        bots: set[UserId] = set()
        for _ in range(AUDIT_PAGES):
            page = await self._audit_page(guild, action, rows[-1].id if rows else None)
            if not isinstance(page, AuditPage):
                return page
            fresh = sorted(page.audit_log_entries, key=lambda row: int(row.id), reverse=True)
            if rows and fresh and int(fresh[0].id) >= int(rows[-1].id):
                return Malformed(why="the audit log does not go on")
            rows += fresh
            bots |= {each.id for each in page.users if each.bot}
            if len(fresh) < ENTRIES_A_PAGE or is_older(rows[-1], since_us):
                break
        else:
            return TooLong(pages=AUDIT_PAGES)
        return _or_malformed(lambda: audited(rows, action, since_us, bots))

    async def search_members(self, guild: GuildId, users: Collection[UserId]) -> tuple[Searched, ...] | Failure:
        """What Discord reports of these members (1 to ``IDS_A_SEARCH``); who is missing is not (yet) in its index.

        ``NotReady`` while the index is built; ``Forbidden`` without Manage Server. Rows of others are dropped.
        """
        assert 1 <= len(users) <= IDS_A_SEARCH
        body = {"limit": MEMBERS_A_PAGE, "or_query": {"user_id": {"or_query": [*users]}}}
        found = await self._search(guild, body)
        return tuple(row for row in found if row.user in users) if isinstance(found, tuple) else found

    async def sweep_members(
        self, guild: GuildId, after_us: int = 0, after: UserId = NOBODY
    ) -> tuple[Searched, ...] | Failure:
        """Up to ``SWEPT_A_PAGE`` members, oldest first, behind that one, who joined then; no rows: the end.

        A page may be shorter and not the last: guests are left out.
        """
        body: dict[str, object] = {"limit": SWEPT_A_PAGE, "sort": OLDEST_FIRST}
        place = (after_us // 1_000, int(after))
        if after_us:
            body["after"] = {"guild_joined_at": place[0], "user_id": after}
        found = await self._search(guild, body)
        if isinstance(found, tuple) and found and place_of(found[0]) <= place:
            return Malformed(why="the search does not go on")
        return found

    async def member_name(self, guild: GuildId, user: UserId) -> str | Failure:
        """What a member is called in the guild; 404 for who is none."""
        return await self._name(NamedMember, lambda http: http.get_member(int(guild), int(user)))

    async def user_name(self, user: UserId) -> str | Failure:
        """What a user is called who need not be a member; 404 for an account that is gone."""
        return await self._name(Named, lambda http: http.get_user(int(user)))

    async def create_invite(self, channel: ChannelId, reason: str, terms: Terms = ENDLESS) -> InviteRow | Failure:
        """A new invite; ``reason`` stands in the audit log.

        With targets: it lets in those alone once ``target_job`` says so. Where the answer is lost it may stand.
        """
        route = Route("POST", "/channels/{channel_id}/invites", channel_id=int(channel))

        def request(http: HTTPClient) -> Awaitable[object]:
            if terms.targets:
                return http.request(route, form=form_of(terms), reason=reason)
            return http.request(route, json=body_of(terms), reason=reason)

        return await self._for_person(InviteRow, request)

    async def delete_invite(self, code: InviteCode, reason: str) -> InviteRow | Failure:
        """Withdraws it; the answer is what it was. 404 with ``UNKNOWN_INVITE`` where it has ended already."""
        route = Route("DELETE", "/invites/{invite_id}", invite_id=str(code))
        return await self._for_person(InviteRow, lambda http: http.request(route, reason=reason))

    async def target_job(self, code: InviteCode) -> TargetJob | Failure:
        """How far Discord is with the list that was handed in last."""
        route = Route("GET", "/invites/{invite_id}/target-users/job-status", invite_id=str(code))
        return await self._for_person(TargetJob, lambda http: http.request(route))

    async def post(self, channel: ChannelId, text: str, nonce: str) -> Place | Failure:
        """A message that mentions nobody; twice with the same nonce (≤ 25 characters) within minutes is once.

        Counters go first: with thousands of new guilds the greetings would hold all of them up.
        """
        return await self._post(Place, channel, text, nonce)

    async def announce(self, channel: ChannelId, text: str, nonce: str) -> Sent | Failure:
        """The same, and the text that stands there: of an earlier post with that nonce, if there was one."""
        return await self._post(Sent, channel, text, nonce)

    async def edit(self, channel: ChannelId, message: str, text: str) -> Sent | Failure:
        """Another text for a message of ours; it mentions nobody either."""
        route = Route(
            "PATCH",
            "/channels/{channel_id}/messages/{message_id}",
            channel_id=int(channel),
            message_id=int(message),
        )
        body = {"content": text, "allowed_mentions": _mentioning_nobody()}
        async with self._pacer.permit(Urgency.LISTING):
            await self._pacer.beat()
            return await self._ask(Sent, lambda http: http.request(route, json=body))

    def traffic(self) -> RestTraffic:
        """The requests so far."""
        return RestTraffic(
            requests=dict(self._requests), waited_s=self._pacer.waited_s(), waiting=self._pacer.waiting()
        )

    async def _post(self, kind: type[T], channel: ChannelId, text: str, nonce: str) -> T | Failure:
        body = {"content": text, "allowed_mentions": _mentioning_nobody(), "nonce": nonce, "enforce_nonce": True}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=int(channel))
        async with self._pacer.permit(Urgency.LISTING):
            await self._pacer.beat()
            return await self._ask(kind, lambda http: http.request(route, json=body))

    async def _for_person(self, kind: type[T], request: Callable[[HTTPClient], Awaitable[object]]) -> T | Failure:
        """One request for a person who waits."""
        async with self._pacer.permit(Urgency.PERSON):
            await self._pacer.beat()
            return await self._ask(kind, request)

    async def _audit_page(self, guild: GuildId, action: Action, before: str | None) -> AuditPage | Failure:
        """The newest entries before that one, in any order."""
        asked = {"limit": ENTRIES_A_PAGE, "action_type": int(action)} | ({"before": before} if before else {})
        route = Route("GET", "/guilds/{guild_id}/audit-logs", guild_id=int(guild))
        async with self._pacer.permit(Urgency.LISTING):
            await self._pacer.beat()
            return await self._ask(AuditPage, lambda http: http.request(route, params=asked))

    async def _search(self, guild: GuildId, body: Mapping[str, object]) -> tuple[Searched, ...] | Failure:
        route = Route("POST", "/guilds/{guild_id}/members-search", guild_id=int(guild))
        async with self._pacer.permit(Urgency.LISTING):
            await self._pacer.beat()
            answer = await self._answer(SearchAnswer, lambda http: http.request(route, json=body))
        return self._counted(searched(answer, guild) if isinstance(answer, SearchAnswer) else answer)

    async def _name(
        self, kind: type[Named] | type[NamedMember], request: Callable[[HTTPClient], Awaitable[object]]
    ) -> str | Failure:
        """Many are asked for in a row, and somebody waits, but counters go first."""
        async with self._pacer.permit(Urgency.LISTING):
            await self._pacer.beat()
            named = await self._ask(kind, request)
        return named.shown() if isinstance(named, Named | NamedMember) else named

    async def _vanity(self, guild: GuildId) -> Vanity | Failure:
        await self._pacer.beat()
        answer = await self._ask(VanityAnswer, lambda http: http.get_vanity_code(int(guild)))
        if not isinstance(answer, VanityAnswer):
            return answer
        if answer.code is None:
            return Malformed(why="vanity_empty")
        return Vanity(code=answer.code, uses=answer.uses)

    async def _ask(self, kind: type[T], request: Callable[[HTTPClient], Awaitable[object]]) -> T | Failure:
        return self._counted(await self._answer(kind, request))

    def _counted(self, answer: T | Failure) -> T | Failure:
        self._requests[outcome(answer) if isinstance(answer, Failure) else RequestOutcome.OK] += 1
        return answer

    async def _answer(self, kind: type[T], request: Callable[[HTTPClient], Awaitable[object]]) -> T | Failure:
        http = self._connection()
        if http is None:
            return Unavailable(status=0)
        try:
            async with asyncio.timeout(self._deadline_s):
                return decode(await request(http), kind)
        except TimeoutError:
            _open_gate(http)
            return TimedOut(after_s=self._deadline_s)
        except asyncio.CancelledError:  # a deadline of whoever asks
            _open_gate(http)
            raise
        except TROUBLE as error:
            return as_failure(error)


def _mentioning_nobody() -> object:
    return discord.AllowedMentions.none().to_dict()


def url_of_gateway(http: HTTPClient) -> Awaitable[dict[str, str]]:
    """GET /gateway, for the address of the socket."""
    return http.request(Route("GET", "/gateway"))


def _open_gate(http: HTTPClient) -> None:
    """Giving up on a request that waits for the global limit leaves the library's gate shut for good: open it."""
    http._global_over.set()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- see names.check_library


def _or_malformed(read: Callable[[], T]) -> T | Malformed:
    """What was read of an answer whose rows may make no sense."""
    try:
        return read()
    except msgspec.ValidationError as error:
        return Malformed(why=str(error))
