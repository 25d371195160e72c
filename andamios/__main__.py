"""``python -m andamios`` is the command ``andamios``."""

from andamios.cli import main

if __name__ == "__main__":
    main()
