"""What a run ends with when an invariant does not hold."""


class Violation(AssertionError):
    """An invariant does not hold. ``name``: which, e.g. "I3"."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
