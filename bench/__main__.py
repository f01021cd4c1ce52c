"""All measurements in one run: ``make bench``."""

from __future__ import annotations

from bench import calls, startup


def main() -> None:
    calls.main()
    startup.main()


if __name__ == "__main__":
    main()
