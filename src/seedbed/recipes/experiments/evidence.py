"""What a stored prompt says of a link: the text of the right parent stands in it."""

from __future__ import annotations

from dataclasses import replace

from seedbed import Finding
from seedbed.recipes.experiments.archive import DRAFT, ESSAY, LINK, Archive, Missing, SourceRow
from seedbed.recipes.experiments.kinship import Kin, Link

_KINDS = {kind.name: kind for kind in (DRAFT, LINK, ESSAY)}
LEAST = 20
"""Characters that a parent's text needs to be told apart by; a shorter one stands in many prompts."""


class Evidence:
    """Weighs links that were found by a join against the prompts that were kept."""

    def __init__(self, archive: Archive, kin: Kin) -> None:
        self._archive = archive
        self._kin = kin

    def weighed(self, row: SourceRow, link: Link, prompt: bytes) -> tuple[Link, list[Finding]]:
        """The link as sure as the prompt makes it; a contradiction is a finding, and the join stays as it is."""
        asked = plain(prompt)
        held = self.holds(row, asked, link)
        if held is None:
            return link, []
        if held:
            return replace(link, certainty="confirmed"), []
        others = self.parents_in(row, asked, link) if row.kind is ESSAY else []
        better = f"; that of {others[0].parent} stands there" if len(others) == 1 else ""
        message = f"the stored prompt does not hold the text of its parent {link.parent}{better}"
        return replace(link, certainty="contradicted"), [Finding("parent_not_in_prompt", message, "", "warning")]

    def parents_in(self, row: SourceRow, asked: str, but: Link | None = None) -> list[Link]:
        """Drafts of the row's combination whose text stands in the prompt."""
        others = [other for other in self._kin.other_drafts(row) if but is None or other.parent != but.parent]
        return [other for other in others if self.holds(row, asked, other)]

    def holds(self, row: SourceRow, asked: str, link: Link) -> bool | None:
        """Whether a prompt holds a parent's text; None where that text is too short to tell, or cannot be had."""
        above = replace(row, kind=_KINDS[link.kind], response_file=link.response_file) if link.kind else row
        text = self._archive.text(above)
        above_text = "" if isinstance(text, Missing) else plain(text)
        return above_text in asked if len(above_text) >= LEAST else None


def plain(text: bytes) -> str:
    """Without differences of blanks and line ends."""
    return " ".join(text.decode("utf-8", "replace").lstrip("\ufeff").split())
