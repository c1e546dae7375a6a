"""A question to a person on a terminal."""

from typing import Final

YES: Final = frozenset({"y", "yes"})


def is_yes(answer: str) -> bool:
    return answer.strip().lower() in YES


def agreed(question: str) -> bool:
    """Raises EOFError or KeyboardInterrupt when the person leaves instead."""
    return is_yes(input(f"{question} [y/N] "))
