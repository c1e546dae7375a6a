"""The pure part of InviteLedger: what is known, how it is worked out, and what follows.

Rules: no I/O, no clock, no randomness, no library but msgspec. Time arrives as numbers (``*_ms``: our clock,
milliseconds since the epoch; ``*_us``: Discord's clock, microseconds since the epoch).
What does not live here: anything that runs (``actors``), anything that stores (``persistence``).
"""
