"""A process that writes until it is killed. A line on standard output tells each finished batch or so."""

from __future__ import annotations

import sys
from pathlib import Path

from seedbed.ports.corpus.database import open_corpus
from tests.ports.corpus.databases import marked, url, write

COUNT = 60_000


def main(database: Path) -> None:
    corpus = open_corpus(url(database))
    writes = (write(f"q{n}", f"title {n}", {"summary": None}, {"summary": f"about {n}"}) for n in range(COUNT))
    for place, _ in enumerate(corpus.write("r1", "q", ["id"], writes, fingerprint=marked)):
        if place % 500 == 0:
            print(place, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
