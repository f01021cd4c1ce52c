"""The fake program as a provider of a project, its books, and whether anything of it still runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from seedbed import Project, Stage, fills
from seedbed.engine.projects.settings import Settings
from tests.engine.projects import SHAPE, Table
from tests.programs import fake

MODEL = "robot/fast-1"


class Robot:
    """A provider ``robot``: the fake program, installed in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "robot"
        self.home.mkdir()
        self.path = self.home / "robot"
        self.path.write_text(f"#!{sys.executable} -IS\n" + Path(fake.__file__).read_text("utf-8"), "utf-8")
        self.path.chmod(0o755)
        self.behave()

    def behave(self, **manners: Any) -> None:
        """From now on; a program that reads its manners never sees half of them."""
        (self.home / "manners.new").write_text(json.dumps(manners), "utf-8")
        (self.home / "manners.new").replace(self.home / "manners.json")

    def arguments(self, *more: str, prompt: tuple[str, str] = ("--file", "{prompt_file}")) -> list[str]:
        return [str(self.path), "--model", "{model}", "--home", str(self.home), *prompt, *more]

    def provider(self, *arguments: str, **more: Any) -> dict[str, Any]:
        return {"program": self.arguments(*arguments), "ceiling": 0, **more}

    # ---- its books

    @property
    def starts(self) -> list[dict[str, Any]]:
        return fake.Books.read(self.home, "start")

    @property
    def asked(self) -> list[str]:
        """The keys of all starts, as often as they were asked."""
        return [key for start in self.starts for key in start["keys"]]

    @property
    def at_once(self) -> int:
        """How many ran at the same time at most."""
        events = [(line["at"], 1) for line in self.starts]
        events += [(line["at"], -1) for line in fake.Books.read(self.home, "answer")]
        running = most = 0
        for _, step in sorted(events):
            running += step
            most = max(most, running)
        return most

    @property
    def children(self) -> list[int]:
        """Processes that it has started, and theirs."""
        return [pid for line in fake.Books.read(self.home, "child") for pid in line["pids"]]

    @property
    def left(self) -> list[int]:
        """Processes of it that still run: programs, and what they have started."""
        return [pid for pid in [start["pid"] for start in self.starts] + self.children if runs(pid)]

    def hangs(self, count: int) -> bool:
        return len(list(self.home.glob("hangs-*"))) >= count


def runs(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def summary(**more: Any) -> Stage:
    prompt = more.pop("prompt", "Sum up.\n<!-- item -->\n{{ text }}")
    return Stage("q.summary", fills("questions", ["summary"]), prompt=prompt, shape=SHAPE, **more)


def project(table: Table, robot: Robot, *arguments: str, **settings: Any) -> Project:
    """A project whose tiers all ask the robot; ``provider`` are settings of it."""
    stage = settings.pop("stage", None) or summary()
    own = robot.provider(*arguments, **settings.pop("provider", {}))
    found = table.project(stage, **{"providers.robot": own, "tiers.default": settings.pop("model", MODEL)}, **settings)
    forget_tiers(found, "mid", "high")
    return found


def forget_tiers(found: Project, *names: str) -> None:
    """The project file does not speak of them."""
    tiers = {name: model for name, model in found.settings.table("tiers").items() if name not in names}
    found.settings = Settings({**found.settings.values, "tiers": tiers})
