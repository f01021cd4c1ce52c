"""A look: the project's stores, opened to be read. No request, no key, nothing of the user's is written.

What is found there is gathered noun by noun: ``standing`` (status, watch), ``entries`` (records, bad),
``books`` (cost, report, logs), ``following``, ``origins`` (config) and ``keeping`` (receipts).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from seedbed.engine.endings import finish_killed_runs
from seedbed.engine.garbage import seldom_collected
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.project import Project
from seedbed.ports.corpus import Corpus
from seedbed.ports.receipts import ReceiptStore
from seedbed.ports.state import State
from seedbed.stage import Stage


@dataclass
class Look:
    """The stores of a project. The corpus is opened when it is first asked for."""

    project: Project
    state: State
    _open: ExitStack
    _corpus: Corpus | None = field(default=None, init=False)

    @property
    def corpus(self) -> Corpus:
        if self._corpus is None:
            self._corpus = self.project.corpus()
            self._open.callback(self._corpus.close)
        return self._corpus

    @property
    def receipts(self) -> ReceiptStore:
        return self.project.receipts()

    def bound(self, stage: Stage) -> BoundStage:
        return self.project.bound(stage, self.corpus, self.state)


@contextmanager
def looking(project: Project) -> Iterator[Look]:
    """Open what was remembered; runs whose process is gone get their end and their page first (000.71)."""
    with ExitStack() as stack:
        stack.enter_context(seldom_collected())
        state = project.remembered()
        stack.callback(state.close)
        finish_killed_runs(project, state)
        yield Look(project, state, stack)
