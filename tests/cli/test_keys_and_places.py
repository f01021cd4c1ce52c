"""Where keys and the corpus are found, and where nothing of them is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import Ended, in_shell
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]
OURS, THEIRS = "sk-of-the-file", "sk-of-the-process"
PASSWORD = "correct-horse-battery"


def seen_by(sim: Simulator) -> set[str]:
    return set(sim.summary()["key_fingerprints"])


def test_the_process_wins_over_the_file_and_config_names_the_source(
    seedbed: Command, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """000.16"""
    Corpus(tmp_path, sim.url, 2)
    (tmp_path / ".env.local").write_text(f"OPENAI_API_KEY={OURS}\n", "utf-8")
    prints = []
    for number, source in ((1, ".env.local"), (2, "the environment")):
        if source == "the environment":
            monkeypatch.setenv("OPENAI_API_KEY", THEIRS)
        sim.reset()
        sim.configure(require_key=[THEIRS if source == "the environment" else OURS])
        assert seedbed("run", "--limit", "1").code == 0
        assert sim.summary()["complete"] == 1
        prints.append(seen_by(sim))
        (key,) = seedbed("config", "--json").json()["keys"]
        assert (number, key["variable"], key["found"]) == (number, "OPENAI_API_KEY", source)
    assert prints[0].isdisjoint(prints[1])


def test_the_corpus_is_named_by_a_variable(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.17: in the process or in .env.local; the project file holds the name only."""
    corpus = Corpus(tmp_path, sim.url, 3)
    file = tmp_path / "seedbed.toml"
    file.write_text(file.read_text("utf-8").replace("sqlite:///corpus.db", "$DATABASE_URL"), "utf-8")
    assert seedbed("status").code == 6
    (tmp_path / ".env.local").write_text("DATABASE_URL=sqlite:///corpus.db\n", "utf-8")
    assert seedbed("run").code == 0
    assert all(corpus.summaries().values())
    ended = in_shell(tmp_path, "run", DATABASE_URL=f"postgresql://me:{PASSWORD}@db.example/corpus")
    looked = in_shell(tmp_path, "config", DATABASE_URL=f"postgresql://me:{PASSWORD}@db.example/corpus")
    assert ended.code == 2
    for text in (ended.out, ended.err, looked.out, looked.err):
        assert PASSWORD not in text
    for each in tmp_path.rglob("*"):
        assert not each.is_file() or PASSWORD.encode() not in each.read_bytes(), each


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_working_files_never_get_into_git(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.34: neither of a demo nor of a project of one's own."""
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=tmp_path, env=quiet, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    Corpus(tmp_path, sim.url, 3)
    assert seedbed("run").code == 0
    assert seedbed("demo", "made", "--countries", "1", "--cities", "0").code == 0
    assert (tmp_path / ".seedbed" / "state.sqlite").exists()
    assert (tmp_path / "made" / ".seedbed").is_dir()
    listed = git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert "?? seedbed.toml" in listed
    assert [line for line in listed if ".seedbed" in line or "made" in line] == []
