"""What can go wrong, as a tree. Each error says what, why, and the command that helps.

    SeedbedError
    ├── UsageError          2    you can fix it now; nothing was started
    │   ├── ConfigError          the project file, a prompt or a shape
    │   ├── SourceError          a file or table that cannot be read as it is
    │   └── PriceUnknown         a cap cannot be kept without a price
    ├── QualityError        3    finished, with more rejects than allowed
    ├── GateError           4    a person has to sign first
    │   ├── NotSigned            no signature, or one that does not cover it
    │   └── CeilingReached       what was signed for is used up
    ├── EmptySelection      5    the selection matches nothing
    ├── AuthError           6    a key is missing or refused
    ├── Locked              7    another process holds it
    ├── Drift               8    source, state or store does not fit
    │   ├── StoreNewer           made by a newer seedbed
    │   ├── Corrupt              a stored record fails its checksum
    │   └── Unbalanced           the equation of a round does not add up
    ├── Pause              75    saved; go on later with the same command
    │   ├── BudgetReached
    │   ├── WindowUsed           the share of a usage window is used up, or it is closed
    │   ├── ProviderDown
    │   ├── LimitReached         a usage window or the account's credit is used up, says the provider
    │   └── DiskFails            a read, a write or a sync is refused
    │       └── DiskFull
    ├── Stopped   129/130/143    a closed terminal, Ctrl-C or SIGTERM; saved
    └── NotReadable              one answer cannot be read; the run goes on
        └── NotRepairable

Anything else that is raised is a bug of ours (exit 1) and keeps its traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class SeedbedError(Exception):
    """Base of all errors a user may meet.

    ``what`` is one sentence; ``why`` the fact behind it; ``hint`` the command or edit that helps.
    """

    exit_code = 1
    name = "error"

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(line for line in (self.what, self.why, self.hint) if line)


class UsageError(SeedbedError):
    exit_code = 2
    name = "usage"


class ConfigError(UsageError):
    name = "config"


class SourceError(UsageError):
    name = "source"


class PriceUnknown(UsageError):
    name = "price_unknown"


class QualityError(SeedbedError):
    exit_code = 3
    name = "quality"


class GateError(SeedbedError):
    exit_code = 4
    name = "gate"


class NotSigned(GateError):
    name = "not_signed"


class CeilingReached(GateError):
    name = "ceiling"


class EmptySelection(SeedbedError):
    exit_code = 5
    name = "empty"


class AuthError(SeedbedError):
    exit_code = 6
    name = "auth"


class Locked(SeedbedError):
    exit_code = 7
    name = "locked"


class Drift(SeedbedError):
    exit_code = 8
    name = "drift"


class StoreNewer(Drift):
    name = "store_newer"


class Corrupt(Drift):
    name = "corrupt"


class Unbalanced(Drift):
    name = "unbalanced"


class Pause(SeedbedError):
    """Not a failure: everything is saved and the same command goes on."""

    exit_code = 75
    name = "paused"


class BudgetReached(Pause):
    name = "budget"


class WindowUsed(Pause):
    """A usage window is closed, or the share of it is used up."""

    name = "window"


class ProviderDown(Pause):
    name = "provider_down"


class LimitReached(Pause):
    """The provider says so. ``window``: of a usage window; ``after``: seconds until it opens, where it is said."""

    name = "limit"

    def __init__(
        self, what: str, *, why: str = "", hint: str = "", window: bool = False, after: float | None = None
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.window = window
        self.after = after


class DiskFails(Pause):
    name = "disk_fails"


class DiskFull(DiskFails):
    name = "disk_full"


class Stopped(SeedbedError):
    """Ended by a signal; everything received is saved."""

    name = "stopped"

    def __init__(self, what: str, *, signal_number: int, why: str = "", hint: str = "") -> None:
        super().__init__(what, why=why, hint=hint)
        self.exit_code = 128 + signal_number


class NotReadable(SeedbedError):
    """An answer that parsing or the shape declines. ``code`` names the reason for grouping."""

    name = "not_readable"

    def __init__(self, what: str, *, code: str = "not_json", field: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.field = field


class NotRepairable(NotReadable):
    name = "not_repairable"


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def of_the_system(error: OSError) -> SeedbedError | None:
    """What the system refuses, in our words: a disk that is full or fails, a place that is closed to us."""
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in _NO_ROOM:
        return DiskFull(f"The disk is full: {what}", hint="Make room and run the same command again.")
    if error.errno == errno.EIO:
        return DiskFails(f"The disk fails: {what}", hint="Look at it, and run the same command again.")
    if error.errno in _CLOSED:
        return UsageError(
            what, hint="What is remembered lies in .seedbed beside the project or file; it must be writable."
        )
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean "x"?`` for a misspelt name, else the list of what is known."""
    names = sorted(set(known))
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(names)}" if names else "none is known here"
