"""All measurements in one run: ``make bench``.

``--million`` adds the engine at a million items, ``--limits`` how well rate limits are used.
"""

from __future__ import annotations

import argparse

from bench import calls, limits, million, startup


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--million", action="store_true", help="also the engine at a million items; takes minutes")
    parser.add_argument("--limits", action="store_true", help="also how well rate limits are used; takes minutes")
    arguments = parser.parse_args()
    calls.main([])
    startup.main()
    if arguments.million:
        million.main([])
    if arguments.limits:
        limits.main([])


if __name__ == "__main__":
    main()
