"""The worklist of a round: written once, page by page, and the same each time it is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed.engine.work.worklist import Worklist
from seedbed.errors import DiskFull
from seedbed.records import Item

FRESH = itertools.count()
"""Numbers for files that no example used before."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worklists" / "r1.sqlite"


@pytest.fixture
def worklist(path: Path) -> Iterator[Worklist]:
    opened = Worklist(path)
    yield opened
    opened.close()


def item(number: int, **more: Any) -> Item:
    given: dict[str, Any] = {
        "row": {"id": number, "text": f"Q{number}"},
        "fingerprint": "f" * 32,
        "before": {"summary": None},
    }
    return Item(**{**given, "key": f"[{number}]", **more})


def items(*numbers: int) -> list[Item]:
    return [item(number) for number in numbers]


def all_of(worklist: Worklist, size: int = 1000) -> list[tuple[int, int, Item]]:
    return [each for page in worklist.pages(size=size) for each in page]


def reopened(worklist: Worklist) -> Worklist:
    """The worklist as the next process finds it."""
    worklist.close()
    return Worklist(worklist.path)


def test_items_come_back_in_the_order_in_which_they_were_exported(worklist: Worklist) -> None:
    worklist.add(items(3, 1), per_call=1, cursor=[1])
    worklist.add(items(2), per_call=1, cursor=[2])
    assert [(seq, one.key) for seq, _, one in all_of(worklist)] == [(1, "[3]"), (2, "[1]"), (3, "[2]")]


def test_an_item_comes_back_as_it_was(worklist: Worklist) -> None:
    whole = item(
        1,
        row={"id": 1, "text": "{{ é }}", "blob": b"\x00\xff", "n": 1.5, "none": None, "json": {"$bytes": "zz"}},
        before={"summary": b"x", "title": None},
        context={"titles": ["a", "b"], "about": {"name": "sea"}},
    )
    worklist.add([whole], per_call=1, cursor=None)
    assert [one for _, _, one in all_of(worklist)] == [whole]


cells = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    max_size=4,
)


@given(cells, cells)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_cells_come_back_as_they_were(tmp_path: Path, row: dict[str, Any], before: dict[str, Any]) -> None:
    worklist = Worklist(tmp_path / f"{next(FRESH)}.sqlite")
    worklist.add([item(1, row=row, before=before)], per_call=1, cursor=None)
    found = all_of(worklist)[0][2]
    worklist.close()
    assert (found.row, found.before) == (row, before)


def test_an_item_is_listed_once_however_often_it_is_exported(worklist: Worklist) -> None:
    worklist.add(items(1, 2), per_call=1, cursor=[2])
    worklist.add(items(2, 3), per_call=1, cursor=[3])
    assert [one.key for _, _, one in all_of(worklist)] == ["[1]", "[2]", "[3]"]


def test_the_first_export_of_an_item_stands(worklist: Worklist) -> None:
    worklist.add([item(1, fingerprint="old")], per_call=1, cursor=None)
    worklist.add([item(1, fingerprint="new")], per_call=1, cursor=None)
    assert all_of(worklist)[0][2].fingerprint == "old"


def test_items_are_grouped_in_their_order(worklist: Worklist) -> None:
    worklist.add(items(*range(7)), per_call=3, cursor=None)
    assert [group for _, group, _ in all_of(worklist)] == [0, 0, 0, 1, 1, 1, 2]


def test_a_group_goes_on_over_two_pages_of_the_export(worklist: Worklist) -> None:
    worklist.add(items(1, 2), per_call=3, cursor=None)
    worklist.add(items(3, 4), per_call=3, cursor=None)
    assert [group for _, group, _ in all_of(worklist)] == [0, 0, 0, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_pages_of_any_size_hold_all_items(worklist: Worklist, size: int) -> None:
    worklist.add(items(1, 2, 3), per_call=1, cursor=None)
    pages = list(worklist.pages(size=size))
    assert ([len(page) <= size for page in pages], sum(map(len, pages))) == ([True] * len(pages), 3)


def test_reading_can_go_on_behind_an_item(worklist: Worklist) -> None:
    worklist.add(items(1, 2, 3), per_call=1, cursor=None)
    assert [one.key for page in worklist.pages(after=1) for _, _, one in page] == ["[2]", "[3]"]


def test_keys_come_in_pages_too(worklist: Worklist) -> None:
    worklist.add(items(1, 2, 3), per_call=1, cursor=None)
    assert list(worklist.key_pages(size=2)) == [["[1]", "[2]"], ["[3]"]]


def test_items_can_be_added_while_they_are_read(worklist: Worklist) -> None:
    worklist.add(items(1), per_call=1, cursor=None)
    seen = []
    for page in worklist.pages(size=1):
        seen.append(page[0][2].key)
        if len(seen) < 3:
            worklist.add(items(len(seen) + 1), per_call=1, cursor=None)
    assert seen == ["[1]", "[2]", "[3]"]


def test_a_new_worklist_is_empty_and_not_complete(worklist: Worklist) -> None:
    assert (worklist.count(), worklist.complete, worklist.cursor, all_of(worklist)) == (0, False, None, [])


def test_how_far_the_export_came_is_kept_with_its_page(worklist: Worklist) -> None:
    worklist.add(items(1), per_call=1, cursor=["a", 1])
    worklist.add([], per_call=1, cursor=["b", 7])
    again = reopened(worklist)
    found = (again.cursor, again.count(), again.complete)
    again.close()
    assert found == (["b", 7], 1, False)


def test_a_finished_export_is_complete_for_the_next_process(worklist: Worklist) -> None:
    worklist.finish()
    again = reopened(worklist)
    complete = again.complete
    again.close()
    assert complete


def test_a_page_is_stored_whole_or_not_at_all(worklist: Worklist) -> None:
    broken = item(2, key="\ud800")
    with pytest.raises(UnicodeEncodeError):
        worklist.add([item(1), broken], per_call=1, cursor=[2])
    assert (worklist.count(), worklist.cursor) == (0, None)


def test_after_a_page_that_failed_the_next_is_stored(worklist: Worklist) -> None:
    with pytest.raises(UnicodeEncodeError):
        worklist.add([item(1, key="\ud800")], per_call=1, cursor=[1])
    worklist.add(items(2), per_call=1, cursor=[2])
    assert worklist.count() == 1


def test_a_full_disk_is_a_pause(worklist: Worklist) -> None:
    pages = worklist._db.execute("pragma page_count").fetchone()[0]
    worklist._db.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(DiskFull) as caught:
        worklist.add([item(n, row={"text": "x" * 500}) for n in range(1000)], per_call=1, cursor=None)
    assert caught.value.exit_code == 75


def test_context_that_many_items_share_is_stored_once(worklist: Worklist) -> None:
    worklist.add([item(n, context={"titles": ["a", "b"]}) for n in range(5)], per_call=1, cursor=None)
    assert worklist._db.execute("select count(*) from blobs").fetchone()[0] == 1


def test_each_item_has_its_own_context(worklist: Worklist) -> None:
    worklist.add([item(n, context={"n": [n]}) for n in range(3)], per_call=1, cursor=None)
    assert [one.context for _, _, one in all_of(worklist)] == [{"n": [0]}, {"n": [1]}, {"n": [2]}]


def test_more_contexts_than_are_remembered_can_be_read(worklist: Worklist) -> None:
    worklist.add([item(n, context={"n": n}) for n in range(1500)], per_call=1, cursor=None)
    assert [one.context["n"] for _, _, one in all_of(worklist)] == list(range(1500))
