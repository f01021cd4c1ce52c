"""Each bad input ends in one to three lines, with its exit code and without a traceback."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.cli import run
from seedbed.simulator import Simulator
from tests.cli.commands import SUMMARY, Ended, questions

Command = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    questions(tmp_path / "q.csv", 3)
    (tmp_path / "q.txt").write_text("id\n1\n", "utf-8")
    (tmp_path / "empty.csv").write_text("", "utf-8")
    (tmp_path / "quote.csv").write_text('id,a\n1,"open\n', "utf-8")
    (tmp_path / "twice.csv").write_text("id,id\n1,2\n", "utf-8")
    (tmp_path / "same.csv").write_text("id,a\n1,2\n1,3\n", "utf-8")
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a": \n', "utf-8")
    (tmp_path / "list.jsonl").write_text("[1]\n", "utf-8")
    (tmp_path / "not.db").write_text("this is no database, whatever its name says", "utf-8")
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute("create table t (id integer primary key, a text)")
        db.execute("create table keyless (a text)")
        db.execute("insert into t (a) values ('Q1Z')")
    db.close()
    return tmp_path


BAD: list[tuple[int, str, list[str]]] = [
    (2, "nope.csv", ["nope.csv", SUMMARY]),
    (2, "not a file", ["sub", SUMMARY]),
    (2, "empty", ["empty.csv", SUMMARY]),
    (2, "quote.csv", ["quote.csv", SUMMARY]),
    (2, "id", ["twice.csv", SUMMARY]),
    (2, "same.csv", ["same.csv", SUMMARY, "--key", "id"]),
    (2, "bad.jsonl", ["bad.jsonl", SUMMARY]),
    (2, "list.jsonl", ["list.jsonl", SUMMARY]),
    (2, "CSV", ["q.txt", SUMMARY]),
    (2, "no column", ["q.csv", SUMMARY, "--key", "nope"]),
    (2, "nope", ["q.csv", SUMMARY, "--where", "nope = 1"]),
    (2, "cannot be read", ["q.csv", SUMMARY, "--where", "id = "]),
    (5, "matches 0 of 3", ["q.csv", SUMMARY, "--where", "id = '77'"]),
    (5, "--ids", ["q.csv", SUMMARY, "--key", "id", "--ids", "77"]),
    (2, "--ids", ["q.csv", SUMMARY, "--ids", "@nope"]),
    (2, "name and meaning", ["q.csv", "summary"]),
    (2, "no type", ["q.csv", "summary (words): x"]),
    (2, "twice", ["q.csv", SUMMARY, SUMMARY]),
    (2, "key", ["q.csv", "id: x", "--key", "id"]),
    (2, "--prompt", ["q.csv", SUMMARY, "--prompt", "@nope.md"]),
    (2, "nope", ["q.csv", SUMMARY, "--prompt", "{{ nope }} of {{ id }}"]),
    (2, "cannot be read", ["q.csv", SUMMARY, "--prompt", "{{ id "]),
    (2, "provider", ["q.csv", SUMMARY, "--model", "opnai/gpt"]),
    (2, "not a model", ["q.csv", SUMMARY, "--model", "gpt"]),
    (2, "endpoint", ["q.csv", SUMMARY, "--base-url", "ftp://x"]),
    (2, "money", ["q.csv", SUMMARY, "--budget", "lots"]),
    (2, "money", ["q.csv", SUMMARY, "--budget", "-1"]),
    (2, "--part", ["q.csv", SUMMARY, "--part", "4/3"]),
    (2, "--part", ["q.csv", SUMMARY, "--part", "a"]),
    (2, "--limit", ["q.csv", SUMMARY, "--limit", "-1"]),
    (2, "--concurrency", ["q.csv", SUMMARY, "--concurrency", "0"]),
    (2, "--timeout", ["q.csv", SUMMARY, "--timeout", "0"]),
    (2, "--table", ["q.csv", SUMMARY, "--table", "t"]),
    (2, "--in-place", ["q.csv", SUMMARY, "--in-place", "--out", "x.csv"]),
    (2, "--in-place", ["q.csv", SUMMARY, "--out", "q.csv"]),
    (2, "such option", ["q.csv", SUMMARY, "--frobnicate"]),
    (2, "FIELD", ["q.csv"]),
    (2, "price", ["q.csv", SUMMARY, "--model", "openai/no-such-model", "--budget", "1usd"]),
    (2, "--table", ["sqlite:///x.db", SUMMARY]),
    (2, "nope", ["sqlite:///x.db", SUMMARY, "--table", "nope"]),
    (2, "no database", ["sqlite:///nope.db", SUMMARY, "--table", "t"]),
    (2, "key", ["sqlite:///x.db", SUMMARY, "--table", "keyless"]),
    (2, "nope", ["sqlite:///x.db", SUMMARY, "--table", "t", "--key", "nope"]),
    (2, "--out", ["sqlite:///x.db", SUMMARY, "--table", "t", "--out", "x.csv"]),
    (2, "not.db", ["not.db", SUMMARY, "--table", "t"]),
    (2, "postgres", ["postgresql://h/d", SUMMARY, "--table", "t"]),
]


@pytest.mark.parametrize(("code", "word", "words"), BAD, ids=[" ".join(words) for _, _, words in BAD])
def test_bad_input_to_fill(
    seedbed: Command, sim: Simulator, folder: Path, code: int, word: str, words: list[str]
) -> None:
    (folder / "sub").mkdir()
    more = [] if "--base-url" in words else ["--base-url", sim.url]
    ended = seedbed("fill", *words, *more, "--yes")
    assert ended.code == code, ended.err
    assert 1 <= len(ended.told) <= 3, ended.err
    assert ended.told[0].startswith("error: ")
    assert word in ended.err
    assert ended.out == ""
    assert sim.summary()["requests"] == 0


def test_with_json_an_error_is_the_same_document(seedbed: Command) -> None:
    for words, code, name in (
        (["fill", "nope.csv", SUMMARY], 2, "source"),
        (["run", "--nope"], 2, "usage"),
        (["status"], 2, "config"),
    ):
        ended = seedbed(*words, "--json")
        assert ended.code == code
        document = ended.json()
        assert document["schema"] == f"seedbed/{words[0]}@1"
        assert document["exit"] == {"code": code, "name": "usage"}
        assert document["error"]["name"] == name
        assert set(document["error"]) == {"name", "message", "why", "hint"}


def test_a_bug_keeps_its_traceback_and_shows_no_value(
    seedbed: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        secret = "sk-very-secret"  # a local that no traceback may show
        raise RuntimeError(f"broken by {len(secret)}")

    monkeypatch.setattr("seedbed.recipes.fill.filling", broken)
    ended = seedbed("fill", "q.csv", SUMMARY, "--json")
    assert ended.code == 1
    assert "RuntimeError: broken by 14" in ended.err
    assert "sk-very" + "-secret'" not in ended.err
    assert "bug" in ended.err.splitlines()[-1]
    assert json.loads(ended.out)["exit"] == {"code": 1, "name": "bug"}


def test_ctrl_c_before_any_work_is_130(seedbed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seedbed.recipes.fill.filling", interrupted)
    ended = seedbed("fill", "q.csv", SUMMARY)
    assert ended.code == 130
    assert ended.told == ["Stopped."]


def test_error_text_of_files_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "q.csv").write_text("id,a\x1b[31m\n1,2\n", "utf-8")
    assert run(["fill", str(tmp_path / "q.csv"), SUMMARY, "--where", "nope = 1"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENOSPC, 75)])
def test_what_the_system_refuses_is_no_bug(
    seedbed: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "some/place")

    monkeypatch.setattr("seedbed.recipes.fill.filling", refused)
    ended = seedbed("fill", "q.csv", SUMMARY)
    assert ended.code == code
    assert len(ended.told) <= 2
    assert "some/place" in ended.told[0]
