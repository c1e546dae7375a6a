"""Where records become durable and come back from: layers, the store over them, recovery, the read model.

Rules: a layer keeps the *same bytes* as every other one; nothing read is believed before its checksum and its place
in the chain were verified; no record is ever deleted. This package knows no actor and no Discord.
"""
