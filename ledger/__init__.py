"""The pure part of InviteLedger: what is known, how it is worked out, and what follows.

Rules: no I/O, no clock, no randomness, no library but msgspec. Time arrives as numbers: inside events
and state microseconds since the epoch (``*_us``; joined_at, created_at, expires_at by Discord's clock, all others by
ours), in a record's envelope milliseconds (``at_ms``).
What does not live here: anything that runs (``actors``), anything that stores (``persistence``).
"""
