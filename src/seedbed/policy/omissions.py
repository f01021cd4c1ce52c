"""Words that say that something was left out: in a remark, in the prose around a document, or in place of a text.

The model left the words out, so no reading can have them. In a remark one such word is enough; prose and texts may
use the same words for other things, so there the form has to show it as well.
"""

from __future__ import annotations

import re
from functools import cache

_DOTS = r"(?:\.\.\.+|…)"
_GONE = (
    # English, German, Romanian, French
    r"unchanged|omitted|truncated|abbreviated|elided|cut off|left out|remaining|remainder|rest of|the rest|same as"
    r"|as (?:above|before)|see above|and so (?:on|forth)|etc|continue[sd]?|continuing|for brevity"
    r"|unverändert\w*|ausgelassen\w*|weggelassen\w*|gekürzt\w*|restliche\w*|übrige\w*|der rest|usw|und so weiter"
    r"|wie oben|fortsetzung|neschimbat\w*|omis\w*|trunchiat\w*|restul|celelalte|și așa mai departe|ș\.a\.m\.d"
    r"|ca mai sus|continuare|continuă"
    r"|va urma|inchangé\w*|tronqué\w*|abrégé\w*|le reste|et ainsi de suite|à suivre|ci-dessus"
    # Italian, Spanish and Portuguese, Polish, Russian
    r"|invariat\w*|omess\w*|il resto|resto|e così via|ecc|come sopra|sin cambios|omitid\w*|el resto|y así sucesivamente"
    r"|como arriba|continúa|continua|sem alterações|restante\w*|e assim por diante|bez zmian|pominięt\w*|pozostał\w*"
    r"|reszta|i tak dalej|itd|без изменений|опущен\w*|остальн\w*|и так далее|продолжение"
)
_SIGNS = "省略|其余|剩余|等等|以下同|同上|以此类推|未完|以下略|続く|残り|同様|وهكذا|إلخ|الباقي|محذوف|يتبع|생략|나머지"
_MORE = (
    r"(?:more|other|others|additional|further|weitere\w*|andere\w*|alte|alți|autres?|d'autres|altri|altre"
    r"|otros|otras|más|outros|outras|inne|другие|ещё|更多|其他|その他|المزيد)"
)
_TOOK_OUT = (
    r"unchanged|omitted|truncated|abbreviated|elided|ausgelassen|weggelassen|gekürzt|omis|trunchiat|omesso|omitido"
)
_BRACKETS = ((r"\(", r"\)"), (r"\[", r"\]"), ("<", ">"), ("（", "）"), ("【", "】"))


@cache
def in_remark() -> re.Pattern[str]:
    """To be searched in a remark."""
    return re.compile(
        rf"(?i){_DOTS}|\b(?:{_GONE}|suite|idem)\b|{_SIGNS}"
        rf"|\A\W*(?:(?:and|und|și|et|e|y|i|и|some|the|\d+)\s+)*{_MORE}(?![^\W\d_])|\b\d+\s+(?:more|weitere)\b"
    )


@cache
def in_prose() -> re.Pattern[str]:
    """To be searched in what stands before and after a document."""
    return re.compile(
        rf"(?im)[(\[<][^)\]>\n]{{0,40}}(?:\b(?:{_GONE})\b|\d (?:more|others)\b)|[(\[<（【][^)\]>\n]{{0,20}}(?:{_SIGNS})"
        rf"|\b(?:for brevity|rest (?:is|was|of the \w+ is) (?:omitted|unchanged)|(?:omitted|cut off|truncated) here)\b"
        rf"|^[^\w\n]{{0,20}}?{_DOTS}|\bremaining \d+\b|\b(?:want|like) me to continue\b"
        rf"|\b(?:continue|go on|proceed) with (?:the )?(?:next|remaining|rest|others?)\b"
    )


@cache
def in_place_of_text() -> re.Pattern[str]:
    """To be matched at the opening quote of a text of strict JSON."""
    said = rf"(?:\b(?:{_GONE})\b|{_SIGNS})"
    dots = rf"(?:{_DOTS}|\[{_DOTS}\]|\({_DOTS}\)|<{_DOTS}>)"
    brackets = "|".join(
        rf'{begin}(?:[^"{end}\n]{{0,40}}?{said}{"" if begin == _BRACKETS[0][0] else "|" + _MORE + " "})'
        rf'[^"{end}\n]{{0,40}}{end}'
        for begin, end in _BRACKETS
    )
    return re.compile(
        rf'(?i)"\s*(?:{dots}|{dots}[^"\n]{{0,12}}(?:{said}|\b{_MORE}\b)[^"\n]{{0,40}}'
        rf'|(?://|/\*)[^"\n]{{0,20}}{said}[^"\n]{{0,40}}|\#[^"\n]{{0,20}}\b(?:{_TOOK_OUT})\b[^"\n]{{0,40}}'
        rf'|{brackets})\s*"(?!\s*:)|"{dots}"\s*:'
    )


@cache
def correction() -> re.Pattern[str]:
    """To be searched in prose after a document: what stands there may take back what was said."""
    return re.compile(
        r"(?im)(?:^|[.!?]\s)[^\w\n]{0,20}(?:correct(?:ion|ed)|errat(?:a|um)|actually|wait|oops|sorry|on second thought"
        r"|korrektur|berichtigung|corec(?:ție|tur[aă])|rectificare|correzione|correcci[óo]n|更正|訂正|تصحيح)(?![^\W\d_])"
    )
