"""What a prompt shows beside its item: the text of the parent, from the index or from its folder."""

from __future__ import annotations

from pathlib import Path

from seedbed import Item, Lookup, errors
from seedbed.recipes.experiments.documents import PARSED


def text_of_parent(lookup: Lookup, item: Item) -> str:
    """The parsed text of the document that a new one is made from. Raises Drift where it is gone."""
    packed = lookup.rows("document_texts", {"doc_id": item["parent"]}, columns=["raw", "parsed"], limit=1)
    if packed:
        return bytes(packed[0]["parsed"] or packed[0]["raw"]).decode()
    (parent,) = lookup.rows("documents", {"doc_id": item["parent"]}, columns=["doc_dir"], limit=1)
    (place,) = lookup.rows("archive_places", columns=["index_file", "docs"], limit=1)
    path = Path(place["index_file"]).parent / str(place["docs"]) / str(parent["doc_dir"]) / PARSED
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise errors.Drift(
            f"the text of the document {item['parent']} cannot be read: {path}: {error.strerror}",
            hint="See what else is gone: seedbed documents consistency",
        ) from error
