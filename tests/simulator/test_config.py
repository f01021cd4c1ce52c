from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.simulator import Settings, Simulator
from seedbed.simulator.faults import FaultRule
from seedbed.simulator.latency import latency
from seedbed.simulator.limits import Window
from seedbed.simulator.run import main, parser, read_settings

from .conftest import Caller, read

Until = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latncy_ms": 1}, "unknown latncy_ms"),
        ({"faults": [{"fault": "nothing"}]}, "unknown fault 'nothing'"),
        ({"faults": [{"fault": "cut", "wen": 1}]}, "faults: unknown wen"),
        ({"faults": [{}]}, "faults: .*fault"),
        ({"faults": [{"fault": "cut", "match": "("}]}, "not a pattern"),
        ({"faults": {}}, "faults: must be a list"),
        ({"rates": {"nothing": 1}}, "unknown fault 'nothing'"),
        ({"rates": {"cut": "x"}}, "rates.cut: must be a number"),
        ({"windows": [{"capacity": 1, "seconds": 1, "kind": "x"}]}, "windows: kind 'x'"),
        ({"windows": [{"capacity": 1, "seconds": 0}]}, "windows: seconds"),
        ({"retry_after_format": "x"}, "retry_after_format: must be one of"),
        ({"items_regex": "("}, "items_regex: .* not a pattern"),
        ({"rpm": 0}, "rpm: must be above 0"),
        ({"rate_style": "x"}, "rate_style: must be one of"),
        ({"header_style": "x"}, "header_style: must be one of"),
        ({"key_limits": {"k": {"rps": 1}}}, "key_limits: unknown rps"),
        ({"rpm": "many"}, "rpm: must be a number"),
        ({"seed": 1.5}, "seed: must be a whole number"),
        ({"names": "Rome"}, "names: must be a list of texts"),
        ({"prompt_cache": 1}, "prompt_cache: must be true or false"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.from_json(options)


def test_settings_survive_json() -> None:
    settings = Settings(
        faults=(FaultRule("cut", size=3),), windows=(Window(1, 2.0),), rates={"cut": 0.5}, names=("Rome",)
    )
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"fault": "cut", "size": 3}]')
    (tmp_path / "names.txt").write_text("Rome\n\nParis\n")
    (tmp_path / "settings.json").write_text('{"seed": 4, "rpm": 5}')
    line = "--settings {0}/settings.json --latency 50 --faults {0}/faults.json --rpm 600 --names {0}/names.txt"
    more = " --window 3/900/insufficient_quota --rate error_500=0.02 --require-key k --no-prompt-cache"
    settings = read_settings(parser().parse_args((line + more).format(tmp_path).split()))
    assert settings == Settings(
        seed=4,
        latency_ms=50,
        rpm=600,
        faults=(FaultRule("cut", size=3),),
        names=("Rome", "Paris"),
        windows=(Window(3, 900, "insufficient_quota"),),
        rates={"error_500": 0.02},
        require_key=("k",),
        prompt_cache=False,
    )


def test_the_running_server_refuses_too(model: Simulator) -> None:
    with pytest.raises(ValueError, match="unknown nothing"):
        model.configure(nothing=1)
    with pytest.raises(ValueError, match="No module named"):
        model.configure(rules=["no.such.module"])


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="No module named 'no'"):
        Simulator(rules=["no.such.module"]).start()


@given(st.text(max_size=20), st.floats(0, 2))
def test_latency_belongs_to_the_prompt(digest: str, sigma: float) -> None:
    settings = Settings(latency_ms=50, latency_sigma=sigma)
    assert 0 < latency(settings, digest) == latency(settings, digest)


def test_the_median_is_kept() -> None:
    settings = Settings(latency_ms=50, latency_sigma=0.5)
    waits = sorted(latency(settings, str(number)) for number in range(2001))
    assert waits[1000] == pytest.approx(0.05, rel=0.1)
    assert waits[1680] > 0.07


def test_it_stops_while_clients_hang(tmp_path: Path, until: Until) -> None:
    with Simulator(faults=[{"fault": "hang", "times": None}], ledger=tmp_path / "ledger") as model:
        connection = Caller(model).request()
        until(lambda: model.summary()["in_flight"] == 1)
    connection.close()
    (line,) = (tmp_path / "ledger").read_text().splitlines()
    assert json.loads(line)["complete"] is False


def test_it_finishes_what_is_under_way(until: Until) -> None:
    model = Simulator(latency_ms=300)
    model.start()
    connection = Caller(model).request()
    until(lambda: model.summary()["in_flight"] == 1)
    model.stop()
    assert read(connection).status == 200
    connection.close()


def test_a_tethered_server_does_not_outlive_its_owner(tmp_path: Path, until: Until) -> None:
    command = [sys.executable, "-m", "seedbed.simulator", "--tether", "--port-file", str(tmp_path / "url")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        until((tmp_path / "url").exists)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.decode().strip() == f"listening on {(tmp_path / 'url').read_text()}"


@pytest.mark.parametrize("options", [["--rate", "x=1"], ["--faults", "/no/such/file"], ["--rules", "json"]])
def test_a_wrong_option_is_named(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options) == 2
    assert capsys.readouterr().err.startswith("seedbed simulate: ")
