"""Plays worked cases (the form of ``attribution-cases.json``) through the model code that the bot runs.

    python -m tests.cases FILE        a line a case, then "N passed, M failed"

The player stands for Discord and for time: it hands the timeline's events and answers to ``decide``, puts the drafts
through ``evolve``, and answers what the program asks for when the timeline holds no answer any more: it repeats the
last complete sample, and the last reading of the audit log. The second witness says what the timeline has it say, and
nothing else. A ``kill`` throws the presence away and replays the records.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.decide import decide
from ledger.effects import FetchSample, ReadAudit, SampleRequest
from ledger.errands import errands
from ledger.evolve import evolve
from ledger.ids import NO_COUNTER, VANITY, ChannelId, GuildId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.samples import Sample
from ledger.state import GuildState, Period

Json: TypeAlias = dict[str, "JsonValue"]
JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | Json | None"

T0_US: Final = 1_700_000_000_000_000
LONG_AGO_US: Final = T0_US - 10**12
BASELINE_US: Final = T0_US - 2_100_000
"""S0 is of t = 0, and yet no join from 0 on straddles it: the skew and a little before."""
GUILD: Final = GuildId("1")
ANSWER_S: Final = 0.2
VIP: Final = RoleId("9")
BOT_ADDED, CREATED, DELETED = 28, 40, 42
"""Actions of the audit log."""
MAX_STEPS: Final = 10_000


def us(seconds: float) -> int:
    """Microseconds since the epoch of a case's time."""
    return T0_US + round(seconds * 1_000_000)


def number(value: JsonValue) -> float:
    assert isinstance(value, int | float), f"{value!r} is no number"
    return float(value)


def text(value: JsonValue) -> str:
    assert isinstance(value, str), f"{value!r} is no text"
    return value


def rows(value: JsonValue) -> list[Json]:
    assert isinstance(value, list), f"{value!r} is no list"
    return cast("list[Json]", value)


def table(value: JsonValue) -> Json:
    assert isinstance(value, dict), f"{value!r} is no object"
    return value


def _codes_of(step: Json) -> tuple[InviteCode, ...]:
    """The invites that a deleted channel takes with it."""
    return tuple(InviteCode(text(code)) for code in cast("list[JsonValue]", step["codes"]))


def _channels(timeline: Sequence[Json]) -> Mapping[InviteCode, ChannelId]:
    """Cases name the invites of a deleted channel, Discord names the channel of each invite."""
    channels: dict[InviteCode, ChannelId] = {}
    for at, step in enumerate(timeline):
        if step.get("gw") == "CHANNEL_DELETE":
            for code in _codes_of(step):
                channels.setdefault(code, ChannelId(str(100 + at)))
    return channels


class Names:
    """Cases name people; the model knows snowflakes."""

    def __init__(self) -> None:
        self._ids: dict[str, UserId] = {}

    def id(self, name: str) -> UserId:
        return self._ids.setdefault(name, UserId(str(1000 + len(self._ids))))

    def name(self, user: UserId | None) -> str | None:
        return next((name for name, known in self._ids.items() if known == user), None)


class Player:
    """One case, from its first second to its last timer."""

    def __init__(self, case: Json) -> None:
        self.case = case
        self.perms = dict(table(table(case["guild"])["perms"]))
        self.names = Names()
        self.state = GuildState(guild=GUILD)
        self.presence = Presence()
        self.records: list[r.Record] = []
        self.asked: list[tuple[float, FetchSample]] = []
        self.now = 0.0
        self.sessions = 0
        self.dispatches = 0
        self.duplicates: set[str] = set()
        self.known: dict[InviteCode, r.Counter] = {}
        self.last_sample: tuple[tuple[r.Counter, ...], r.Vanity | None] = ((), None)
        self.audit: ReadAudit | None = None
        self.audited: Json = {"entries": []}
        self.reads_audit = self._perm("view_audit_log")
        self.approval = "MEMBER_VERIFICATION_MANUAL_APPROVAL" in cast(
            "list[str]", table(case["guild"]).get("features") or []
        )
        self.manages = self._perm("manage_guild")
        self.silent = not self.manages
        self.half: tuple[float, tuple[r.Counter, ...]] | None = None
        self.channels = _channels(rows(case["timeline"]))

    def _perm(self, name: str) -> bool:
        return bool(self.perms.get(name))

    # The program's side

    def tell(self, message: m.Message) -> None:
        decision = decide(self.state, self.presence, message)
        for draft in decision.drafts:
            self._record(draft)
        self.presence = decision.presence
        for effect in decision.effects:
            if isinstance(effect, FetchSample):
                self.asked = [(self.now + effect.after_s, effect)]
        self.presence, open_errands = errands(self.state, self.presence)
        for errand in open_errands:
            if isinstance(errand, ReadAudit):
                self.audit = errand

    def _record(self, draft: r.Draft) -> None:
        seq = self.state.seq + 1
        record = r.Record(
            gsn=seq,
            guild=GUILD,
            seq=seq,
            epoch=1,
            at_ms=us(self.now) // 1000,
            cause=draft.cause,
            key=draft.key,
            event=draft.event,
            last=seq,
        )
        assert all(each.key != record.key for each in self.records), f"key used twice: {record.key}"
        self.records.append(record)
        self.state = evolve(self.state, record)

    def kill(self) -> None:
        """What was journaled stays; all else is gone."""
        self.presence, self.asked, self.half = Presence(phase=Phase.REHYDRATING), [], None
        self.audit = None
        self.state = GuildState(guild=GUILD)
        for record in self.records:
            self.state = evolve(self.state, record)

    # The world's side

    def setup(self) -> None:
        initial = table(self.case["initial"])
        start = r.InternalCause(what="case")
        self.presence = Presence(phase=Phase.REHYDRATING)
        self._record(r.Draft(event=r.GuildAdopted(counting_since_us=LONG_AGO_US), cause=start, key="adopted"))
        members = [
            r.SeededMember(self.names.id(text(user)), LONG_AGO_US - 1)
            for user in cast("list[JsonValue]", initial.get("open_members") or [])
        ]
        self._record(r.Draft(event=r.MembersSeeded(members=tuple(members)), cause=start, key="seeded"))
        invites = [self._invite(each) for each in rows(initial["invites"])]
        self.known = {each.code: each for each in invites if each is not None}
        vanity = self._vanity(initial.get("vanity"))
        self.last_sample = (tuple(self.known.values()), vanity)
        self._assign_initially(rows(initial["invites"]))
        settings = r.SettingsChanged(settings=r.Settings(vip_roles=(VIP,)))
        self._record(r.Draft(event=settings, cause=start, key="settings"))
        if initial.get("baseline", True):
            self._record(r.Draft(event=self._baseline(vanity), cause=start, key="sample/1"))
        self.tell(self._greeting(0))
        self.presence = msgspec.structs.replace(self.presence, reconciled=True)

    def _baseline(self, vanity: r.Vanity | None) -> r.SampleTaken:
        return r.SampleTaken(
            number=1,
            requested_us=BASELINE_US - 1,
            answered_us=BASELINE_US,
            session=self._session(),
            changed=tuple(self.known.values()),
            vanity=vanity,
        )

    def _session(self) -> SessionId:
        return SessionId(f"session{self.sessions}")

    def _assign_initially(self, invites: Sequence[Json]) -> None:
        for version, each in enumerate((each for each in invites if each.get("staff")), start=1):
            event = r.InviteAssigned(
                code=InviteCode(text(each["code"])),
                staff=self.names.id(text(each["staff"])),
                since_us=LONG_AGO_US,
                version=version,
            )
            cause = r.InternalCause(what="case")
            self._record(r.Draft(event=event, cause=cause, key=f"assignment/{version}"))

    def _invite(self, of: Json) -> r.Counter | None:
        if int(number(of.get("flags") or 0)) & 1:
            return None  # a guest invite is no source
        inviter = of.get("inviter")
        expires = of.get("expires")
        return r.Counter(
            code=InviteCode(text(of["code"])),
            created_at_us=us(number(of.get("created", of.get("t")))),
            uses=int(number(of.get("uses") or 0)),
            max_uses=int(number(of.get("max_uses") or 0)),
            expires_at_us=None if expires is None else us(number(expires)),
            inviter=None if inviter is None else self.names.id(text(inviter)),
            inviter_is_bot=str(inviter or "").startswith("BOT"),
            channel=self.channels.get(InviteCode(text(of["code"]))),
            roles=self._roles(of, "role_ids"),
            targets=tuple(
                self.names.id(text(each)) for each in cast("list[JsonValue]", of.get("target_users") or [])
            ),
        )

    def _vanity(self, of: JsonValue) -> r.Vanity | None:
        if of is None or not table(of).get("code") or table(of)["uses"] is None:
            return None
        return r.Vanity(code=text(table(of)["code"]), uses=int(number(table(of)["uses"])))

    def play(self) -> None:
        self.setup()
        timeline = rows(self.case["timeline"])
        steps = sorted(timeline, key=lambda step: number(step.get("t", step.get("t_resp", 0))))
        for at, step in enumerate(steps):
            upcoming = number(step.get("t", step.get("t_resp", 0)))
            self._answer_until(upcoming, steps[at:])
            self.now = max(self.now, upcoming)
            try:
                self._step(step, steps[at + 1 :])
            except Exception as error:
                error.add_note(f"in {json.dumps(step)}")
                raise
        self._answer_until(float("inf"), [])

    def _answer_until(self, end: float, later: Sequence[Json]) -> None:
        """The program's own requests, where the timeline has no answer left: the last answer again."""
        coming = {each.get("rest") for each in later}
        for _ in range(MAX_STEPS):
            due_s = self._sample_due_s() if "invites" not in coming else float("inf")
            audit_s = self._audit_due_s() if "audit" not in coming else float("inf")
            if min(due_s, audit_s) + ANSWER_S > end or min(due_s, audit_s) == float("inf"):
                return
            self.now = max(self.now, min(due_s, audit_s)) + ANSWER_S
            if audit_s < due_s:
                self._audit_answer(self.audited, self.now - ANSWER_S)
            else:
                _, fetch = self.asked.pop()
                self._sample(fetch.request, self.now - ANSWER_S, self.now, *self.last_sample)
        raise AssertionError("the program never stops asking")

    def _sample_due_s(self) -> float:
        return self.asked[0][0] if self.asked and not self.silent and self.half is None else float("inf")

    def _audit_due_s(self) -> float:
        return (self.audit.due_us - T0_US) / 1_000_000 if self.audit and self.reads_audit else float("inf")

    def _sample(
        self,
        request: SampleRequest | None,
        asked_s: float,
        answered_s: float,
        counters: tuple[r.Counter, ...],
        vanity: r.Vanity | None,
    ) -> None:
        sample = Sample(
            requested_us=us(asked_s),
            answered_us=us(answered_s),
            session=self._session(),
            counters=counters,
            vanity=vanity,
        )
        self.tell(m.SampleArrived(sample=sample, request=request))

    def _step(self, step: Json, later: Sequence[Json]) -> None:
        if "gw" in step:
            self._event(text(step["gw"]), step)
        elif step.get("rest") == "invites":
            self._invites(step, later)
        elif step.get("rest") == "vanity":
            self._vanity_answer(step)
        elif step.get("rest") == "audit":
            self._audit(step)
        elif step.get("rest") == "search":
            self._search(step)
        elif "do" in step:
            self._do(text(step["do"]), step)

    def _invites(self, step: Json, later: Sequence[Json]) -> None:
        uses, status = step["uses"], step["status"]
        if uses is None or status != 200 or any(each is None for each in table(uses).values()):
            self._failed(status, listed=uses is not None)
            return
        self.silent = not self.manages
        counters = tuple(self._counters(table(uses), rows(step.get("new") or [])))
        if _has_vanity_answer(later):
            self.half = (number(step["t_req"]), counters)  # the list and the vanity counter together are a sample
        else:
            self._complete(number(step["t_req"]), counters, self.last_sample[1])

    def _audit(self, step: Json) -> None:
        forbidden = step["status"] in (401, 403)
        self.reads_audit = not forbidden and self._perm("view_audit_log")
        if step["status"] == 200:
            self.audited = step
            self._audit_answer(step, number(step["t_req"]))
        else:
            failed = m.AuditFailed(
                number=self.presence.audit.number,
                reason=f"status_{step['status']}",
                forbidden=forbidden,
                at_us=us(self.now),
            )
            self.tell(failed)

    def _audit_answer(self, answer: Json, asked_s: float) -> None:
        self.audit = None
        entries = rows(answer.get("entries") or [])
        arrived = m.AuditArrived(
            number=self.presence.audit.number,
            requested_us=us(asked_s),
            deletions=self._deletions(entries),
            creations=self._creations(entries),
            bots=self._bots(entries),
        )
        self.tell(arrived)

    def _logged(self, step: Json) -> None:
        """An entry that is told live, which does not say whether who made an invite is a bot."""
        noted = m.NoteLogged(
            cause=self._cause("rest"),
            deletions=self._deletions([step]),
            creations=tuple(msgspec.structs.replace(each, by=None) for each in self._creations([step])),
            bots=self._bots([step]),
            arrived_us=us(self.now),
        )
        self.tell(noted)

    def _deletions(self, entries: list[Json]) -> tuple[m.DeletedInvite, ...]:
        return tuple(self._deletion(each) for each in entries if each["action"] == DELETED)

    def _creations(self, entries: list[Json]) -> tuple[m.CreatedInvite, ...]:
        return tuple(self._creation(each) for each in entries if each["action"] == CREATED)

    def _bots(self, entries: list[Json]) -> tuple[m.AddedBot, ...]:
        return tuple(
            m.AddedBot(
                bot=self.names.id(text(each["target" if "target" in each else "user"])),
                by=self.names.id(text(each["by"])),
            )
            for each in entries
            if each["action"] == BOT_ADDED and each.get("by")
        )

    def _creation(self, entry: Json) -> m.CreatedInvite:
        by, at_s = entry.get("by"), number(entry["t"])
        age_s = number(entry["expires"]) - at_s if entry.get("expires") else 0.0
        return m.CreatedInvite(
            code=InviteCode(text(entry["code"])),
            at_us=us(at_s),
            max_uses=round(number(entry.get("max_uses") or 0)),
            max_age_s=round(age_s),
            by=self.names.id(text(by)) if by else None,
            by_bot=bool(by) and text(by).startswith("BOT"),
        )

    def _deletion(self, entry: Json) -> m.DeletedInvite:
        by = entry.get("by")
        return m.DeletedInvite(
            code=InviteCode(text(entry["code"])),
            at_us=us(number(entry.get("t", self.now))),
            by=None if by is None else self.names.id(text(by)),
        )

    def _search(self, step: Json) -> None:
        if step["status"] != 200:
            failed = m.WitnessFailed(
                number=self.presence.witness.number,
                reason=f"status_{step['status']}",
                at_us=us(self.now),
                again_s=number(step.get("retry_after") or 0),
            )
            self.tell(failed)
            return
        found = tuple(self._searched(each) for each in rows(step["members"]))
        self.tell(m.WitnessAnswered(number=self.presence.witness.number, rows=found, at_us=us(self.now)))

    def _searched(self, row: Json) -> m.SearchedMember:
        """A row of the search; one of before 0 is of the membership that the seed speaks of."""
        user, at_s = self.names.id(text(row["user"])), number(row["joined_at"])
        seeded = [each.opened_us for each in self.state.periods_of(user) if not each.counted]
        code, inviter = row.get("source_invite_code"), row.get("inviter_id")
        report = r.Report(
            int(number(row.get("join_source_type") or 0)),
            None if code is None else InviteCode(text(code)),
            None if inviter is None else self.names.id(text(inviter)),
        )
        return m.SearchedMember(
            user=user, joined_at_us=seeded[0] if seeded and at_s <= 0 else us(at_s), report=report
        )

    def _failed(self, status: JsonValue, *, listed: bool) -> None:
        request = self.asked.pop()[1].request if self.asked else None
        forbidden = status in (401, 403) or listed
        self.silent = forbidden or not self.manages
        if request is not None:
            reason = "no_invite_metadata" if listed else f"status_{status}"
            self.tell(m.SampleFailed(request=request, reason=reason, forbidden=forbidden, at_us=us(self.now)))

    def _vanity_answer(self, step: Json) -> None:
        half, self.half = self.half, None
        if half is not None:
            self._complete(*half, self._vanity(step))

    def _complete(self, asked_s: float, counters: tuple[r.Counter, ...], vanity: r.Vanity | None) -> None:
        request = self.asked.pop()[1].request if self.asked else None
        if vanity is not None or self.last_sample[1] is None:
            self.last_sample = (counters, vanity)
        self._sample(request, asked_s, self.now, counters, vanity)

    def _counters(self, uses: Json, new: Sequence[Json]) -> Iterator[r.Counter]:
        for each in new:
            invite = self._invite(each)
            if invite is not None:
                self.known[invite.code] = invite
        for code, count in uses.items():
            if InviteCode(code) in self.known:
                yield msgspec.structs.replace(self.known[InviteCode(code)], uses=int(number(count)))

    def _cause(self, lane: str) -> r.GatewayCause:
        self.dispatches += 1
        assert lane in ("members", "rest")
        return r.GatewayCause(
            session=self._session(), number=self.dispatches, lane="members" if lane == "members" else "rest"
        )

    def _event(self, kind: str, step: Json) -> None:  # noqa: C901, PLR0912 -- one arm an event, nothing else
        now_us = us(self.now)
        match kind:
            case "GUILD_MEMBER_ADD":
                self._member_add(step)
            case "GUILD_MEMBER_UPDATE" if step.get("joined_at") is not None:
                self._member_update(step)
            case "GUILD_MEMBER_REMOVE":
                user = self.names.id(text(step["user"]))
                self.tell(m.RecordLeave(cause=self._cause("members"), user=user, arrived_us=now_us))
            case "INVITE_CREATE":
                invite = self._invite(step)
                if invite is not None:
                    self.known[invite.code] = invite
                    self.tell(m.NoteInviteBorn(cause=self._cause("rest"), invite=invite, arrived_us=now_us))
            case "INVITE_DELETE":
                code = InviteCode(text(step["code"]))
                self.tell(m.NoteInviteDied(cause=self._cause("rest"), code=code, arrived_us=now_us))
            case "CHANNEL_DELETE":
                for channel in dict.fromkeys(self.channels[code] for code in _codes_of(step)):
                    self.tell(m.NoteChannelDied(cause=self._cause("rest"), channel=channel, arrived_us=now_us))
            case "GUILD_AUDIT_LOG_ENTRY_CREATE":
                self._logged(step)
            case "READY":
                self.sessions += 1
                self._came_up()
            case "GUILD_DELETE":
                self.tell(m.GuildWentAway(at_us=now_us))
            case "GUILD_CREATE":
                self._came_up()
            case "RESUMED" if not self.presence.session:
                self._came_up()  # a new process that took the old session over
            case _:
                pass  # what the model is not told of: voice, user updates, RESUMED otherwise

    def _came_up(self) -> None:
        self.tell(self._greeting(self.now))

    def _greeting(self, at_s: float) -> m.GuildCameUp:
        vanity = self.last_sample[1] is not None
        return m.GuildCameUp(session=self._session(), at_us=us(at_s), vanity=vanity, approval=self.approval)

    def _member_add(self, step: Json) -> None:
        user = self.names.id(text(step["user"]))
        before = self.state.current(user)
        self.tell(self._member(step, us(number(step["joined_at"])), *self._roles(step, "roles")))
        after = self.state.current(user)
        if before and after and before.opened_us == after.opened_us and not after.counted:
            self.duplicates.add(text(step["user"]))

    def _member_update(self, step: Json) -> None:
        """Who is VIP (``do: vip``, no role of the case) stays so."""
        name = text(step["user"])
        period = self.state.current(self.names.id(name))
        roles = [*self._roles(step, "roles"), *self._roles(step, "roles_added")]
        vip = (VIP,) if period is not None and period.vip else ()
        joined_at_us = self._joined_us(name, number(step["joined_at"]))
        self.tell(m.NoteMember(join=self._member(step, joined_at_us, *roles, *vip)))

    def _roles(self, of: Json, key: str) -> tuple[RoleId, ...]:
        return tuple(RoleId(text(each)) for each in cast("list[JsonValue]", of.get(key) or []))

    def _member(self, step: Json, joined_at_us: int, *roles: RoleId) -> m.RecordJoin:
        return m.RecordJoin(
            cause=self._cause("members"),
            session=self._session(),
            user=self.names.id(text(step["user"])),
            joined_at_us=joined_at_us,
            arrived_us=us(self.now),
            bot=bool(step.get("bot")) or text(step["user"]).startswith("BOT"),
            flags=int(number(step.get("member_flags") or 0)),
            roles=roles,
        )

    def _do(self, kind: str, step: Json) -> None:
        match kind:
            case "kill":
                self.kill()
            case "member_list":
                self._member_list(step)
            case "permissions":
                self._permissions(table(step.get("perms") or {}))
                self.tell(m.NotePermissions(at_us=us(self.now)))
            case "assign":
                assign = m.AssignInvite(
                    interaction=InteractionId(f"i{len(self.records)}"),
                    code=InviteCode(text(step["code"])),
                    staff=self.names.id(text(step["staff"])),
                    by=self.names.id("ADMIN"),
                    at_us=us(self.now),
                )
                self.tell(assign)
            case "vip":
                self._vip(self.names.id(text(step["user"])), has=bool(step["has"]))
            case "decide":
                self._decide(step)
            case _:
                pass  # `disconnect` is silence

    def _permissions(self, now: Json) -> None:
        """What the step names holds from now on; where it does not say, the invites may be read."""
        self.perms |= {"manage_guild": True} | now
        self.manages = self._perm("manage_guild")
        self.silent = not self.manages
        if "view_audit_log" in now:
            self.reads_audit = self._perm("view_audit_log")

    def _vip(self, user: UserId, *, has: bool) -> None:
        period = self.state.current(user)
        joined_at_us = period.opened_us if period else us(self.now)
        update = m.RecordJoin(
            cause=self._cause("members"),
            session=self._session(),
            user=user,
            joined_at_us=joined_at_us,
            arrived_us=us(self.now),
            roles=(VIP,) if has else (),
        )
        self.tell(m.NoteMember(join=update))

    def _decide(self, step: Json) -> None:
        code, staff = step.get("code"), step.get("staff")
        decision = m.DecideJoin(
            interaction=InteractionId(f"i{len(self.records)}"),
            user=self.names.id(text(step["user"])),
            opened_us=0,
            staff=None if staff is None else self.names.id(text(staff)),
            code=None if code is None else InviteCode(text(code)),
            why=text(step.get("reason") or "decided"),
            by=self.names.id("ADMIN"),
        )
        self.tell(decision)

    def _member_list(self, step: Json) -> None:
        listed = [self._listed(user, number(at)) for user, at in table(step["joined"]).items()]
        page = m.ReviewMembers(
            session=self._session(),
            members=tuple(listed),
            after=UserId(""),
            upto="",
            started_us=us(self.now),
            at_us=us(self.now),
        )
        self.tell(page)

    def _listed(self, name: str, at_s: float) -> m.ListedMember:
        user = self.names.id(name)
        return m.ListedMember(user=user, joined_at_us=self._joined_us(name, at_s), bot=name.startswith("BOT"))

    def _joined_us(self, name: str, at_s: float) -> int:
        """Whoever was there before 0 has joined when the seed says so."""
        period = self.state.current(self.names.id(name))
        old = period is not None and not period.counted and at_s <= 0
        return period.opened_us if period is not None and old else us(at_s)

    # What came of it

    def verdict(self, user: str) -> Mapping[str, object]:
        period = self.state.current(self.names.id(user))
        if period is None or (user in self.duplicates and period.verdicts == 0):
            status = "none" if period is None else "duplicate"
            return {"status": status, "code": None, "staff": None, "candidates": [], "credit": None}
        return self._told(period)

    def _told(self, period: Period) -> Mapping[str, object]:
        return {
            "status": period.status.value,
            "code": period.code,
            "staff": self.names.name(period.staff),
            "candidates": sorted(period.candidates),
            "credit": self.names.name(period.credited),
        }


def _has_vanity_answer(later: Sequence[Json]) -> bool:
    """Whether a vanity answer belongs to the invite list just answered: before the next list's."""
    kinds = [each["rest"] for each in later if each.get("rest") in ("invites", "vanity")]
    return kinds[:1] == ["vanity"]


def differences(case: Json) -> list[str]:
    """What came out otherwise than expected, a line each; empty for a case that passes."""
    player = Player(case)
    player.play()
    found = []
    for expected in rows(case["expected"]):
        actual = player.verdict(text(expected["user"]))
        for field in ("status", "code", "staff", "candidates", "credit"):
            wanted = expected[field]
            if field == "candidates":
                wanted = cast("JsonValue", sorted(cast("list[str]", wanted)))
            if wanted != actual[field] and not (field == "credit" and wanted == "policy"):
                found.append(f"{expected['user']}: {field} is {actual[field]!r}, expected {wanted!r}")
    return found


def load(path: Path) -> list[Json]:
    """The cases of a file."""
    return rows(table(json.loads(path.read_text(encoding="utf-8")))["scenarios"])


def main(path: str) -> int:
    """Prints a line a case and the count; 1 when one failed. A case that cannot be played fails, and says why."""
    try:
        cases = load(Path(path))
    except (OSError, ValueError, KeyError, AssertionError) as error:
        print(f"{path} holds no cases: {_why(error)}", file=sys.stderr)
        return 1
    failed = 0
    for case in cases:
        found = _outcome(case)
        failed += bool(found)
        print(f"{'FAILED' if found else 'passed'}  {_headline(case)}")
        for line in found:
            print(f"          {line}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _outcome(case: Json) -> list[str]:
    """What is otherwise than expected; or what is wrong with the case, where it cannot be played."""
    try:
        return differences(case)
    except Exception as error:  # noqa: BLE001 -- a case may hold anything, and the others are played all the same
        return [_why(error), *getattr(error, "__notes__", ())]


def _why(error: Exception) -> str:
    match error:
        case KeyError():
            return f"{error} is missing"
        case AssertionError():
            return str(error) or "it cannot be so"
        case _:
            return f"{type(error).__name__}: {error}"


def _headline(case: JsonValue) -> str:
    known = case if isinstance(case, dict) else {}
    needs = known.get("needs")
    suffix = f" (needs {', '.join(map(str, needs))})" if needs and isinstance(needs, list) else ""
    return f"{known.get('id', '?')}  {known.get('title', '?')}{suffix}"


assert {NO_COUNTER, VANITY} == {"NI", "VANITY"}, "the cases name these two as the model does"

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
