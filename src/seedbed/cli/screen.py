"""Progress on stderr: one live screen on a terminal, plain lines off it. It only listens and draws."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seedbed.cli.render import safe, tell
from seedbed.events import Draining, Event, ItemsSettled, KeyClosed, Notice, RoundOpened, Waiting
from seedbed.records import usd

if TYPE_CHECKING:
    from seedbed.engine.projects.project import Project

STEP = 5.0
EVERY = 60.0
SAME = 5.0
WINDOW = 60.0
BAR = 30


def is_live() -> bool:
    """Whether stderr is a terminal that can be redrawn."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb" and not os.environ.get("CI")


@contextmanager
def watching(project: Project) -> Iterator[None]:
    """Show a project's progress while the block runs."""
    pace = Pace(project)
    face = _Live(pace) if is_live() else _Plain(pace)
    project.listeners.append(pace.hear)
    project.listeners.append(face.hear)
    face.start()
    try:
        yield
    finally:
        face.stop()
        project.listeners.remove(face.hear)
        project.listeners.remove(pace.hear)


class Pace:
    """What a screen shows beside the meter: reasons, and a rate from this process alone, so that an ETA is true."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.reasons: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.notice = ""
        self._waiting = False
        self._settled: deque[tuple[float, int]] = deque()
        self._count = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, RoundOpened):
                self._settled.clear()
                self._count = 0
                self._began = time.monotonic()
                self.reasons.clear()
                self.states.clear()
            elif isinstance(event, ItemsSettled):
                if self._waiting:
                    self.notice, self._waiting = "", False
                now = time.monotonic()
                self._count += len(event.outcomes)
                self._settled.append((now, self._count))
                while self._settled[0][0] < now - WINDOW:
                    self._settled.popleft()
                for outcome in event.outcomes:
                    self.states[outcome.state] += 1
                    if outcome.state != "accepted":
                        code = next((f.code for f in outcome.findings if f.severity == "error"), outcome.state)
                        self.reasons[code] += 1
            said = _said(event)
            if said:
                self.notice, self._waiting = said, isinstance(event, Waiting)

    def rate(self) -> float:
        """Items a second over the last minute of this process."""
        with self._lock:
            if not self._settled:
                return 0.0
            start, before = self._began, 0
            if time.monotonic() - self._began > WINDOW and len(self._settled) > 1:
                start, before = self._settled[0]
            return max(0, self._count - before) / max(time.monotonic() - start, 0.001)

    def figures(self) -> dict[str, str]:
        """The words of a screen."""
        meter = self.project.meter
        rate = self.rate()
        left = max(0, meter.items - meter.settled)
        return {
            "settled": f"{meter.settled:,} / {meter.items:,}",
            "states": "   ".join(f"{state} {count:,}" for state, count in list(self.states.items())),
            "rate": f"{rate:,.1f}/s" if rate >= 1 else f"{rate * 60:,.1f}/min",
            "rest": duration(left / rate) if rate and left else "",
            "spent": "unknown" if meter.price_unknown else usd(meter.spent),
            "cap": usd(meter.cap) if meter.cap is not None else "none",
            "forecast": usd(forecast) if (forecast := meter.forecast()) is not None else "",
            "flying": f"{meter.in_flight:,} in flight",
            "retries": f"{meter.retries:,} retries" if meter.retries else "",
            "refused": f"{meter.refused:,} x 429" if meter.refused else "",
            "held": f"held by {safe(meter.held_by, 80)}" if meter.held_by else "",
            "problems": "   ".join(f"{safe(code, 40)} x {count:,}" for code, count in self.reasons.most_common(5)),
        }


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _said(event: Event) -> str:
    if isinstance(event, Waiting):
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + event.seconds))
        return f"waiting {duration(event.seconds)}, until {until}: {safe(event.reason, 200)}"
    if isinstance(event, KeyClosed):
        return safe(event.text(), 300) if event.others else ""  # without another key the run ends and says why
    if isinstance(event, Draining):
        return (
            f"stopping: {event.in_flight:,} calls are out, waiting for their answers"
            " (Ctrl-C again leaves at once; those may be paid for and lost)"
        )
    if isinstance(event, Notice):
        return safe(event.text, 300)
    return ""


class _Plain:
    """A line at each 5 % and at least once a minute."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._percent = 0.0
        self._last = time.monotonic()
        self._said = (0.0, "")
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._timer = threading.Thread(target=self._each_minute, name="seedbed-progress", daemon=True)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._end.set()
        self._timer.join()

    def hear(self, event: Event) -> None:
        said = _said(event)
        if said:
            self._say(said)
        elif isinstance(event, RoundOpened):
            self._percent = 100 * event.settled / event.items if event.items else 0.0
            again = f" done={event.settled}" if event.settled else ""
            tell([f"{_clock()} {event.stage} start items={event.items}{again}"])
        elif isinstance(event, ItemsSettled):
            meter = self.pace.project.meter
            if not meter.items:  # answers that an earlier process bought, read before any round goes on
                return
            percent = 100 * meter.settled / meter.items
            if percent - self._percent >= STEP or percent >= 100.0 > self._percent:
                self._line(percent)

    def _say(self, said: str) -> None:
        """Once, where many calls meet the same wait."""
        with self._lock:
            now = time.monotonic()
            again = said == self._said[1] and now - self._said[0] < SAME
            self._said = (now, said)
        if not again:
            tell([f"{_clock()} {said}"])

    def _each_minute(self) -> None:
        while not self._end.wait(1.0):
            if time.monotonic() - self._last >= EVERY and self.pace.project.meter.items:
                meter = self.pace.project.meter
                self._line(100 * meter.settled / meter.items)

    def _line(self, percent: float) -> None:
        with self._lock:
            self._percent = percent
            self._last = time.monotonic()
        meter, shown = self.pace.project.meter, self.pace.figures()
        states = " ".join(f"{state.replace(' ', '_')}={count}" for state, count in list(self.pace.states.items()))
        words = [_clock(), meter.stage, f"{int(percent)}%", f"settled={meter.settled}/{meter.items}", states]
        words += [f"spent={shown['spent']}", *(f"{n}={shown[n]}" for n in ("cap", "forecast") if shown[n])]
        words.append(f"rate={shown['rate']}")
        if meter.refused:
            words.append(f"429s={meter.refused}")
        if shown["rest"]:
            words.append(f"left={shown['rest']}")
        tell([" ".join(word for word in words if word)])


def _clock() -> str:
    return time.strftime("%H:%M:%S")


class _Live:
    """One screen, drawn four times a second at most."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._live: Any = None

    def hear(self, event: Event) -> None:
        pass  # the screen is drawn from the meter, at its own pace

    def start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._live = Live(
            get_renderable=self.draw, console=console, refresh_per_second=4, transient=True, redirect_stdout=False
        )
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def draw(self) -> Any:
        from rich.text import Text

        meter, shown = self.pace.project.meter, self.pace.figures()
        share = meter.settled / meter.items if meter.items else 0.0
        full = round(BAR * min(1.0, share))
        rest = f"about {shown['rest']} left" if shown["rest"] else ""
        bar = "#" * full + "-" * (BAR - full)
        rows = [
            f"{safe(meter.stage)}  {bar}  {shown['settled']}  {share:.1%}  {shown['rate']}  {rest}",
            f"{shown['states']}   {shown['flying']}   {shown['retries']}   {shown['refused']}   {shown['held']}",
            f"spent {shown['spent']}   cap {shown['cap']}   forecast {shown['forecast'] or '-'}",
        ]
        if shown["problems"]:
            rows.append(f"problems  {shown['problems']}")
        if self.pace.notice:
            rows.append(self.pace.notice)
        return Text("\n".join(row.rstrip() for row in rows), no_wrap=True, overflow="ellipsis")
