"""The bot as ``python -m supervisor`` starts it: the hand-over's waits are cut short, a drain's steps are not.

What such a drain cuts hangs: the machine may be as slow as it likes.
"""

from actors import drain, handover

handover.SILENT_S = 4.0  # type: ignore[misc]
handover.BEAT_S = 1.0  # type: ignore[misc]
PATIENCE_S = 20.0
for step in drain.Step:
    if step is not drain.Step.NEWCOMER:  # that one is waited for to its end, where nobody comes
        drain.SHARES_S[step] = PATIENCE_S  # type: ignore[index]

if __name__ == "__main__":
    from supervisor import main

    main()
