"""Text that a spreadsheet shows and does not run.

A cell that begins with ``= + - @``, a tab or a carriage return is a formula, or becomes one, to a
spreadsheet. It is made inert by an apostrophe before it, and so is a cell that begins with apostrophes
and then one of these, so that taking one apostrophe away gives back each text as it was.
"""

from __future__ import annotations

import re

_ACTIVE = re.compile(r"'*[=+\-@\t\r]")
_INERT = re.compile(r"'+[=+\-@\t\r]")


def inert(text: str) -> str:
    return f"'{text}" if _ACTIVE.match(text) else text


def plain(text: str) -> str:
    """Inverse of :func:`inert`."""
    return text[1:] if _INERT.match(text) else text
