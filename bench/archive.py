"""The import of an archive beside a bare loop that creates the same files, in one run: ``python -m bench.archive``."""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seedbed.recipes.experiments.importing import Wanted, import_experiments

DOCUMENTS = 20_000
TABLES = "data/7_cross_experiment"
TEXTS = "data/3_generation"
HEAD = (
    "draft_task_id", "combo_id", "draft_template_id", "generation_model", "generation_status", "generation_timestamp",
    "response_file",
)  # fmt: skip
PARAGRAPH = "What the tide takes it brings again, though seldom to the same place and never to the same hand. "


def plant(root: Path, drafts: int, essays: int, *, files: int = DOCUMENTS) -> None:
    """An archive of drafts with an essay to each; texts of 1 to 4 kB, of which rows beyond ``files`` share some."""
    (root / TABLES).mkdir(parents=True)
    for kind, count in (("draft", drafts), ("essay", essays)):
        folder = root / TEXTS / f"{kind}_responses"
        folder.mkdir(parents=True)
        head = [name.replace("draft", kind) for name in HEAD]
        with (root / TABLES / f"{kind}_generation_results.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            for number in range(count):
                name = f"{kind}_responses/{number % files:06}.txt"
                if number < files:
                    (root / TEXTS / name).write_text(f"{kind} {number}\n{PARAGRAPH * (10 + number % 30)}", "utf-8")
                second = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
                hour = f"2025-08-0{1 if kind == 'draft' else 2}T{second}"
                writer.writerow([f"{kind}-{number}", f"combo-{number}", "t", "m", "success", hour, name])


def bare(source: Path, target: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU, to create the folders and files of the import with their bytes, and nothing else."""
    files = [(target / path.relative_to(source), path.read_bytes()) for path in source.rglob("*") if path.is_file()]
    began, cpu = time.perf_counter(), time.process_time()
    for path, data in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    return time.perf_counter() - began, time.process_time() - cpu


def taken(archive: Path, out: Path, **more: bool) -> tuple[float, float]:
    """Seconds, and seconds of CPU, of an import."""
    began, cpu = time.perf_counter(), time.process_time()
    import_experiments(archive, Wanted("bench", **more), out=out)
    return time.perf_counter() - began, time.process_time() - cpu


def memory_kb(archive: Path) -> int:
    """Peak memory of a dry run in a process of its own, in kB."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from seedbed.recipes.experiments.importing import Wanted, import_experiments\n"
        "import_experiments(Path(sys.argv[1]), Wanted('bench', dry_run=True))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(archive)], check=True, capture_output=True, text=True)
    return int(done.stdout)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--rows", type=int, default=0, help="also the memory of a dry run over so many rows")
    chosen = parser.parse_args(arguments)
    count = chosen.documents
    root = Path(tempfile.mkdtemp(prefix="seedbed-bench-"))
    try:
        plant(root / "archive", count // 2, count - count // 2)
        folders, folders_cpu = taken(root / "archive", root / "folders")
        loop, loop_cpu = bare(root / "folders/data/docs", root / "bare")
        packed, packed_cpu = taken(root / "archive", root / "packed", pack=True)
        again, _ = taken(root / "archive", root / "folders")
        print(f"import of {count:,} documents")
        print(f"  folders  {folders:6.2f} s, CPU {folders_cpu:.2f} s, {count / folders:,.0f} a second")
        print(f"  bare     {loop:6.2f} s, CPU {loop_cpu:.2f} s, {count / loop:,.0f} a second")
        print(f"  the import has {loop / folders:.2f} of the bare loop's speed; by CPU {loop_cpu / folders_cpu:.2f}")
        print(f"  --pack   {packed:6.2f} s, CPU {packed_cpu:.2f} s, {count / packed:,.0f} a second")
        print(f"  again    {again:6.2f} s, {count / again:,.0f} a second")
        if chosen.rows:
            plant(root / "big", chosen.rows // 2, chosen.rows // 2, files=1000)
            small, big = memory_kb(root / "archive"), memory_kb(root / "big")
            print(f"  memory   {small:,} kB for {count:,} rows, {big:,} kB for {chosen.rows:,} ({big / small:.2f} x)")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
