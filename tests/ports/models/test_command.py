"""The adapter of headless programs: what each end means, over real processes; and its pure halves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from seedbed.errors import NotReadable
from seedbed.ports.models import Answer, Target, Trouble
from seedbed.ports.models.command import LONGEST_ANSWER, LONGEST_ARGUMENT, Command, prompt_of
from seedbed.ports.models.command.program import USUAL, Marks, Program
from seedbed.ports.models.command.resets import seconds_until
from seedbed.records import Message, Request

REQUEST = Request("default", (Message("system", "Sum up.", stable=True), Message("user", "A red fox.")))
NOW = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
Make = Callable[..., Command]


def target(seconds: float = 60.0) -> Target:
    return Target("robot", "fast-1", "", "robot", None, seconds)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(script: str, *arguments: str, **more: Any) -> Command:
        path = tmp_path / "robot"
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)
        marks = {means: Marks.of(words) for means, words in {**USUAL, **more.pop("marks", {})}.items()}
        program = Program(
            "robot", (str(path), *arguments), environment={"PATH": os.environ["PATH"]}, marks=marks, **more
        )
        return Command(program, lambda: int(NOW.timestamp() * 1000))

    return made


async def sent(command: Command, request: Request = REQUEST, seconds: float = 60.0) -> Answer:
    return await command.send(command.wire(request, target()), target(seconds))


def error_of(answer: Answer) -> dict[str, Any]:
    found = orjson.loads(answer.body)["error"]
    assert isinstance(found, dict)
    return found


# ------------------------------------------------------------------------------------- whole answers


async def test_a_whole_answer_comes_back_byte_for_byte_with_exit_code_and_error_channel(make: Make) -> None:
    answer = await sent(make(r"printf ' \303\244\n{}\r\n'; echo 'one \033[31mred\033[0m word' >&2"))
    assert (answer.status, answer.format, answer.body) == (200, "stdout", " ä\n{}\r\n".encode())
    assert answer.headers == {"exit-code": "0", "stderr": "one red word"}


async def test_a_key_that_the_program_was_given_is_not_kept_with_what_it_says(make: Make) -> None:
    answer = await sent(make("echo 'using sk-secret-1' >&2; echo yes", secrets=("sk-secret-1",)))
    assert answer.headers["stderr"] == "using …"


async def test_of_a_long_error_channel_the_end_is_kept(make: Make) -> None:
    answer = await sent(make("seq 1 20000 >&2; echo end >&2; echo yes"))
    assert answer.headers["stderr"].endswith("\n20000\nend")
    assert len(answer.headers["stderr"]) == 2000


async def test_the_prompt_comes_in_a_file_or_as_an_argument_and_no_shell_reads_it(make: Make, tmp_path: Path) -> None:
    request = Request("default", (Message("user", f"$(touch {tmp_path}/harm) `id` ; {{model}} {{answer}} \"'\\ ä\n"),))
    in_file = await sent(make('cat "$1"', "{prompt_file}"), request)
    as_argument = await sent(make('printf %s "$1"', "{prompt}"), request)
    assert in_file.body == as_argument.body == prompt_of(request).encode()
    assert not (tmp_path / "harm").exists()


async def test_a_prompt_is_never_an_option(make: Make) -> None:
    request = Request("default", (Message("user", "--allow-everything"),))
    assert (await sent(make('printf "%s" "$1"', "{prompt}"), request)).body == b"\n--allow-everything"


async def test_the_shape_is_asked_for_in_the_prompt_and_given_as_a_file(make: Make) -> None:
    shape = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = Request("default", REQUEST.messages, shape)
    assert orjson.loads((await sent(make('cat "$1"', "{shape_file}"), request)).body) == shape
    assert '"properties"' in prompt_of(request)


async def test_a_program_gets_the_variables_that_are_named_and_no_other(make: Make, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    names = {line.partition("=")[0] for line in (await sent(make("env"))).body.decode().splitlines()}
    assert names <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}


async def test_the_folder_is_empty_and_gone_afterwards(make: Make) -> None:
    answer = await sent(make("pwd; ls -A"))
    (folder,) = answer.body.decode().splitlines()
    assert not there(folder)


# --------------------------------------------------------------------------------- files as answers


async def test_an_answer_file_that_is_a_link_is_none(make: Make, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of somebody else")
    with pytest.raises(Trouble, match="no answer file") as trouble:
        await sent(make(f'ln -s {tmp_path}/secret "$1"', "{answer}", answer="{answer}"))
    assert (trouble.value.kind, trouble.value.sent) == ("failed", True)


@pytest.mark.parametrize("script", ["true", 'mkdir "$1"', 'mkfifo "$1"'])
async def test_without_a_plain_answer_file_there_is_no_answer(make: Make, script: str) -> None:
    with pytest.raises(Trouble, match="it ended well but left no answer file") as trouble:
        await sent(make(script, "{answer}", answer="{answer}"))
    assert trouble.value.kind == "failed"


# ------------------------------------------------------------------------------------ odd answers


async def test_an_empty_answer_is_read_as_empty(make: Make) -> None:
    command = make("true")
    answer = await sent(command)
    assert command.read(answer.format, answer.status, answer.body).finish == "empty"


async def test_the_last_lines_end_is_no_part_of_an_answer(make: Make) -> None:
    command = make(r"printf ' two\nlines \r\n\n'")
    answer = await sent(command)
    assert answer.body == b" two\nlines \r\n\n"
    assert command.read(answer.format, answer.status, answer.body).text == " two\nlines "


async def test_a_binary_answer_is_kept_and_not_read(make: Make) -> None:
    command = make(r"printf '\377\000\376'")
    answer = await sent(command)
    assert answer.body == b"\xff\x00\xfe"
    with pytest.raises(NotReadable, match="not UTF-8 text"):
        command.read(answer.format, answer.status, answer.body)


async def test_an_answer_without_end_is_cut_off_and_its_program_ended(make: Make) -> None:
    with pytest.raises(Trouble, match=f"longer than {LONGEST_ANSWER // 1024 // 1024} MB"):
        await sent(make("yes"))


# ---------------------------------------------------------------------------------------- ends


async def test_an_exit_code_without_known_words_is_a_failure_in_its_own_words(make: Make) -> None:
    with pytest.raises(Trouble, match="exit code 3: wrong flag, see --help") as trouble:
        await sent(make("echo half an answer; echo wrong flag, >&2; echo see --help >&2; exit 3"))
    assert trouble.value.kind == "failed"


async def test_an_exit_code_with_nothing_at_all_is_a_failure(make: Make) -> None:
    with pytest.raises(Trouble, match=r"robot: exit code 1\Z"):
        await sent(make("exit 1"))


async def test_a_signal_is_a_failure(make: Make) -> None:
    with pytest.raises(Trouble, match="ended by signal 11"):
        await sent(make("kill -SEGV $$"))


async def test_a_program_that_takes_too_long_is_in_doubt(make: Make) -> None:
    with pytest.raises(Trouble, match="no answer within") as trouble:
        await sent(make("sleep 1000"), seconds=0.2)
    assert trouble.value.kind == "timeout"


async def test_a_program_that_cannot_be_started_was_never_sent(make: Make, tmp_path: Path) -> None:
    command = make("true")
    (tmp_path / "robot").write_bytes(b"\x7fELF no program")
    with pytest.raises(Trouble, match="cannot be started") as trouble:
        await sent(command)
    assert (trouble.value.kind, trouble.value.sent) == ("connect", False)


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ("echo 'Usage limit reached, try again in 2h' >&2; exit 1", 429, "session_limit"),
        ("echo '429 Too Many Requests' >&2; exit 1", 429, "rate_limit"),
        ("echo 'You are not logged in' >&2; exit 1", 401, "login_expired"),
        ("echo 'Your session limit is reached' >&2", 429, "session_limit"),  # it ended well, and said nothing else
        ("exit 9", 429, "session_limit"),
        ("echo 'output blocked by the content filtering policy' >&2; exit 1", 400, "content_filter"),
        ("echo 'rate limit, waiting' >&2; echo 'weekly limit reached' >&2; exit 1", 429, "session_limit"),
    ],
)
async def test_limits_and_logins_are_read_from_exit_code_and_error_channel(
    make: Make, script: str, status: int, code: str
) -> None:
    answer = await sent(make(script, marks={"session_limit": (*USUAL["session_limit"], "exit 9")}))
    assert (answer.status, error_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize("words", ["session limit reached", "429 rate limit", "please log in"])
async def test_what_stands_in_an_answer_is_never_a_limit(make: Make, words: str) -> None:
    """(001.15)"""
    whole = await sent(make(f"echo '{words}'; echo '{words}' >&2"))
    assert (whole.status, whole.body) == (200, f"{words}\n".encode())
    with pytest.raises(Trouble, match="exit code 1"):
        await sent(make(f"echo '{words}'; exit 1"))


async def test_a_used_up_window_says_when_it_opens(make: Make) -> None:
    error = error_of(await sent(make("echo 'Session limit reached: resets 11pm (UTC)' >&2; exit 1")))
    assert error["resets_in_seconds"] == 5400
    assert error["message"] == "Session limit reached: resets 11pm (UTC)"


# ----------------------------------------------------------------------- prompts that cannot be given


@pytest.mark.parametrize(
    ("text", "code"),
    [("x" * (LONGEST_ARGUMENT + 1), "context_length"), ("a\0b", "bad_request"), ("\ud800", "bad_request")],
)
async def test_a_prompt_that_is_no_argument_is_declined_before_anything_is_started(
    make: Make, tmp_path: Path, text: str, code: str
) -> None:
    answer = await sent(make(f"touch {tmp_path}/started", "{prompt}"), Request("default", (Message("user", text),)))
    assert (answer.status, error_of(answer)["code"]) == (400, code)
    assert not (tmp_path / "started").exists()


# ----------------------------------------------------------------------------------- given up


def there(path: str) -> bool:
    return Path(path).exists()


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - other processes bring it about
            await asyncio.sleep(0.005)


def handles_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_calls_that_are_given_up_leave_neither_process_nor_handle_nor_folder(make: Make, tmp_path: Path) -> None:
    command = make(f"echo $$ $PWD >>{tmp_path}/log; sleep 1000")
    log = tmp_path / "log"
    await _given_up(command, log, 1)
    handles, tasks = handles_open(), len(asyncio.all_tasks())

    for count in range(2, 8):
        await _given_up(command, log, count)

    for line in lines(log):
        pid, folder = line.split()
        assert not there(f"/proc/{pid}") and not there(folder)
    await until(lambda: (handles_open(), len(asyncio.all_tasks())) == (handles, tasks))


async def _given_up(command: Command, log: Path, count: int) -> None:
    call = asyncio.ensure_future(sent(command))
    await until(lambda: len(lines(log)) >= count)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_a_call_can_be_given_up_at_any_turn_and_the_next_one_works(make: Make, turns: int) -> None:
    command = make("echo yes")
    await sent(command)
    handles = handles_open()
    call = asyncio.ensure_future(sent(command))
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    assert (await sent(command)).body == b"yes\n"
    await until(lambda: handles_open() == handles)


# ---------------------------------------------------------------------------------------- pure


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("try again in 2h 5m", 7500),
        ("resets in 3 hours and 20 minutes", 12_000),
        ("retry after 90 seconds", 90),
        ("limit reached|1795212000", 1_800),
        ("opens at 2026-11-20T23:00:00Z", 5400),
        ("opens at 2026-11-21 00:30:00+02:00", 3600),
        ("resets at 23:00 UTC", 5400),
        ("resets 11:15pm (UTC)", 6300),
        ("resets 1am (Europe/Bucharest)", 5400),
        ("resets at 21:30", 86_400),
        ("resets 12am", 9000),
        ("resets at 2", None),
        ("resets at 25:00", None),
        ("opens at 2026-11-20T20:00:00Z", None),
        ("nothing is said, 429", None),
    ],
)
def test_the_time_at_which_a_window_opens_is_read_as_programs_word_it(words: str, seconds: float | None) -> None:
    assert seconds_until(words, NOW) == seconds


def test_the_last_mark_counts_with_the_words_after_it() -> None:
    marks = Marks.of(["limit"])
    assert marks.found(1, "limit one\nfine again\nlimit two\nresets soon\na\nb") == "limit two\nresets soon\na"
    assert marks.found(1, "all is well") is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--model", "{model}"), True),
        (("--model=fast-1",), True),
        (("--model", "fast-1"), True),
        (("--model", "fast-10"), False),
        ((), False),
    ],
)
def test_a_program_says_its_model_by_placeholder_or_by_name(arguments: tuple[str, ...], named: bool) -> None:
    assert Program("robot", ("/bin/robot", *arguments)).names_model("fast-1") is named


def test_braces_that_are_no_placeholder_stay(make: Make) -> None:
    command = make("true", '{"a": 1}', "{model}", "{tools}", tools=("Read", "Write"))
    body = orjson.loads(command.wire(REQUEST, target()).body)
    assert body["program"][1:] == ['{"a": 1}', "fast-1", "Read,Write"]
