"""Disks as they may be found after the power went away.

Built from a record of everything that a process did to a folder (``disk.c``). A disk holds every byte that was synced,
and any part of what was not: writes are torn at 512 bytes and kept or lost in any order; names that were made, changed
or removed since their folder was synced are there up to some moment, in their order, as file systems keep them.
"""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_HEAD = struct.Struct("<cQqI")


@dataclass
class File:
    """What of a file is on the disk for certain, and what was written since: ``None`` cuts it off there."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for at, data in self.pending:
            _put(self.synced, at, data)
        self.pending.clear()

    def found(self, chance: random.Random, share: float) -> bytes:
        if not self.pending:
            return bytes(self.synced)
        out = bytearray(self.synced)
        for at, data in self.pending:
            if data is None:
                if chance.random() < share:
                    _put(out, at, None)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + SECTOR - (at + start) % SECTOR)
                if chance.random() < share:
                    _put(out, at + start, data[start:end])
                start = end
        return bytes(out)


def _put(out: bytearray, at: int, data: bytes | None) -> None:
    if len(out) < at:
        out.extend(bytes(at - len(out)))
    if data is None:
        del out[at:]
    else:
        out[at : at + len(data)] = data


@dataclass(frozen=True)
class Name:
    """A change of a folder: a file or folder made, a name changed, a name removed."""

    what: str
    path: str
    to: str = ""
    file: File | None = None

    def change(self, names: dict[str, File | None]) -> None:
        if self.what in "OD":
            names[self.path] = self.file
        elif self.what == "U":
            names.pop(self.path, None)
        elif self.path in names:
            names[self.to] = names.pop(self.path)


class Disk:
    """A folder as it stands on the disk, while a record of what was done to it is gone through."""

    def __init__(self, root: Path) -> None:
        """What is there now counts as synced."""
        self.root = str(root)
        self.honest = True
        """Not so: a sync does nothing."""
        self._files: dict[int, File] = {}
        self._folders = {root.stat().st_ino: self.root}
        self._synced: dict[str, File | None] = {}
        self._pending: dict[str, list[Name]] = defaultdict(list)
        for path in sorted(root.rglob("*")):
            facts = path.stat()
            if path.is_dir():
                self._folders[facts.st_ino] = str(path)
                self._synced[str(path)] = None
            elif not path.name.endswith("-shm"):
                self._files[facts.st_ino] = self._synced[str(path)] = File(bytearray(path.read_bytes()))

    def follow(self, log: Path) -> Iterator[str]:
        """Go through a record, operation by operation; what the process said, or nothing, at each."""
        data = log.read_bytes()
        at = 0
        while at < len(data):
            what, inode, offset, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            piece = data[at : at + length]
            at += length
            if what == b"A":
                yield piece.decode()
            else:
                self._change(what.decode(), inode, offset, piece)
                yield ""

    def _change(self, kind: str, inode: int, offset: int, piece: bytes) -> None:
        if kind == "S" and not self.honest:
            return
        if kind == "S" and inode in self._folders:
            for name in self._pending.pop(self._folders[inode], ()):
                name.change(self._synced)
        elif kind in "SWT" and inode not in self._files:
            return  # a file without a name, which no power cut leaves behind
        elif kind == "S":
            self._files[inode].sync()
        elif kind in "WT":
            self._files[inode].pending.append((offset, piece if kind == "W" else None))
        else:
            path, _, to = piece.decode().partition("\0")
            if kind == "O":  # its number may be that of a folder that is gone, and the other way round
                self._files[inode] = File()
                self._folders.pop(inode, None)
            elif kind == "D":
                self._folders[inode] = path
                self._files.pop(inode, None)
            file = self._files[inode] if kind == "O" else None
            self._pending[str(Path(to or path).parent)].append(Name(kind, path, to, file))

    def found(self, chance: random.Random, without: str = "ballast") -> dict[str, bytes | None]:
        """One disk: what each name under the root holds; ``None`` is a folder."""
        share = chance.choice((0.0, 1.0, chance.random()))
        names = dict(self._synced)
        for pending in self._pending.values():
            kept = round(len(pending) * share) if share in (0.0, 1.0) else chance.randint(0, len(pending))
            for name in pending[:kept]:
                name.change(names)
        out: dict[str, bytes | None] = {}
        for path, file in sorted(names.items()):
            inside = Path(path).relative_to(self.root)
            if without in path or any(f"{self.root}/{above}" not in names for above in inside.parents[:-1]):
                continue
            out[str(inside)] = None if file is None else file.found(chance, share)
        return out


def lay(found: dict[str, bytes | None], root: Path) -> None:
    """Write a disk out, to be looked at."""
    for name, data in found.items():
        path = root / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
