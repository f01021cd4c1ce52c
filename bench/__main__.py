"""All measurements in one run: ``make bench``."""

from __future__ import annotations

from bench import calls


def main() -> None:
    calls.main()


if __name__ == "__main__":
    main()
