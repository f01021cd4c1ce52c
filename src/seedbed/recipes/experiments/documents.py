"""A document on its way into the index, and the files that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import orjson

from seedbed import Finding
from seedbed.recipes.experiments.archive import SourceRow
from seedbed.recipes.experiments.identity import attempt_of_row, document_id, key_parts, logical_key
from seedbed.recipes.experiments.kinship import NO_PARENT, Link
from seedbed.recipes.experiments.moments import written

RAW, PARSED, PROMPT, METADATA = "raw.txt", "parsed.txt", "prompt.txt", "metadata.json"


@dataclass(frozen=True, slots=True)
class Document:
    """One attempt. ``text`` is byte for byte what the file held; without a parser the parsed text is the same."""

    doc_id: str
    logical: str
    parts: Sequence[str]
    run: str
    row: SourceRow
    text: bytes
    content_hash: str
    chars: int
    link: Link = NO_PARENT
    prompt: bytes | None = None
    prompt_file: str = ""
    response_file: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def place(self) -> str:
        """The folder below the folder of the documents; made of a known word and two hashes, never of a name."""
        return f"{self.row.kind.stage}/{self.logical}/{self.doc_id}"

    def with_findings(self, *findings: Finding) -> Document:
        return replace(self, findings=(*self.findings, *findings))

    def metadata(self) -> bytes:
        """Where the document comes from, the same for the same tables and files at any time."""
        row, link = self.row, self.link
        return orjson.dumps(
            {
                "doc_id": self.doc_id,
                "logical_key_id": self.logical,
                "stage": row.kind.stage,
                "task_id": row.task_id,
                "run_id": self.run,
                "combo_id": row.combo_id,
                "template_id": row.template_id,
                "model_id": row.model_id,
                "source_table": row.kind.table,
                "row_index": row.index,
                "timestamp": row.timestamp,
                "created_at": written(row.moment),
                "response_file": self.response_file,
                "prompt_file": self.prompt_file or None,
                "raw_bytes": len(self.text),
                "raw_chars": self.chars,
                "parsed_chars": self.chars,
                "response_size_bytes": row.size or None,
                "content_hash": self.content_hash,
                "parent": _parent(link),
                "findings": [finding.as_json() for finding in self.findings],
            },
            option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
        )

    def files(self) -> Mapping[str, bytes]:
        files = {RAW: self.text, PARSED: self.text, METADATA: self.metadata()}
        return files if self.prompt is None else {**files, PROMPT: self.prompt}

    def small(self) -> str:
        row = self.row
        return orjson.dumps(
            {
                "combo_id": row.combo_id,
                "source_table": row.kind.table,
                "row_index": row.index,
                "response_file": self.response_file,
                "timestamp": row.timestamp,
            }
        ).decode()


def _parent(link: Link) -> dict[str, object] | None:
    if link is NO_PARENT:
        return None
    return {
        "doc_id": link.parent or None,
        "task_id": link.task or None,
        "found_by": link.found_by,
        "certainty": link.certainty,
        "candidates": link.candidates,
    }


def document_of(
    row: SourceRow,
    text: bytes,
    run: str,
    *,
    link: Link = NO_PARENT,
    prompt: tuple[str, bytes] | None = None,
    response_file: str = "",
) -> Document:
    """The document of a row and its text, with the ids that they have on any machine.

    What stands above it in its key is its parent; the combination for a draft, and for an essay taken without one.
    """
    above = link.parent or row.combo_id
    parts = key_parts(row.kind.stage, above, row.template_id, row.model_id)
    logical = logical_key(row.kind.stage, above, row.template_id, row.model_id)
    return Document(
        document_id(logical, run, attempt_of_row(row.kind.table, row.index, row.timestamp)),
        logical, parts, run, row, text, sha256(text).hexdigest(), len(text.decode()), link,
        prompt[1] if prompt else None, prompt[0] if prompt else "", response_file or row.response_file,
        tuple(_findings(row, text)),
    )  # fmt: skip


def _findings(row: SourceRow, text: bytes) -> list[Finding]:
    found = []
    if not text.strip():
        found.append(Finding("empty_text", "the text is empty", severity="warning"))
    if row.size and row.size != str(len(text)):
        message = f"the table says {row.size} bytes, the file has {len(text)}"
        found.append(Finding("size_differs", message, "response_size_bytes", "warning"))
    return found
