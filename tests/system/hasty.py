"""The bot as ``python -m supervisor`` starts it, with the hand-over's waits cut short."""

from actors import handover

handover.SILENT_S = 4.0  # type: ignore[misc]
handover.BEAT_S = 1.0  # type: ignore[misc]

if __name__ == "__main__":
    from supervisor import main

    main()
