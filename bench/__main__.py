"""All measurements in one run: ``make bench``; with ``--million`` also the engine at a million items."""

from __future__ import annotations

import argparse

from bench import calls, million, startup


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--million", action="store_true", help="also the engine at a million items; takes minutes")
    arguments = parser.parse_args()
    calls.main([])
    startup.main()
    if arguments.million:
        million.main([])


if __name__ == "__main__":
    main()
