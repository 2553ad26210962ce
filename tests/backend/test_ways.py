"""How far it is from a command to a model's forward, in calls and files of ours."""

from __future__ import annotations

import sys
from pathlib import Path

import preflamp_backend
import pytest
from click.testing import CliRunner
from preflamp_backend.models.model import Backbone
from study_files import LIGHT, write_study

import preflamp_stats
from preflamp_stats.cli import group
from preflamp_stats.cli.group import main

OURS = tuple(str(Path(each.__file__).parent) for each in (preflamp_stats, preflamp_backend))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), examples=2).parent


def longest_way(call) -> list[tuple[str, str]]:
    """File and function of each of our frames, from outside in, at the model's deepest forward."""
    deepest: list[tuple[str, str]] = []

    def look(frame, event, argument):
        nonlocal deepest
        if event != "call" or frame.f_code is not Backbone.hidden.__code__:
            return
        way = []
        while frame:
            # The group stands before every command and does nothing of its own.
            file = frame.f_code.co_filename
            if file.startswith(OURS) and file != group.__file__:
                way.append((file, frame.f_code.co_name))
            frame = frame.f_back
        if any(name == "next" for _, name in way) and len(way) > len(deepest):
            deepest = way[::-1]

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return deepest


@pytest.mark.parametrize("method", ["bt", "rm", "arm", "icl"])
def test_a_token_is_ten_calls_and_five_files_from_the_command_line(folder, tmp_path, method):
    kinds = {
        "bt": 'kind = "head"\npath = "heads/{model}/bt.safetensors"',
        "rm": 'kind = "classifier"\npath = "rm"',
        "arm": 'kind = "autoregressive"\npath = "arm"',
        "icl": 'kind = "in-context"\nshots = 1',
    }
    start, rest = LIGHT.index("[methods"), LIGHT.index("[scoring]")
    study = folder / f"{method}.toml"
    study.write_text(f"{LIGHT[:start]}[methods.{method}]\n{kinds[method]}\n{LIGHT[rest:]}")
    out = tmp_path / "results.nc"

    def run():
        found = CliRunner().invoke(main, ["run", str(study), "-o", str(out)])
        assert found.exit_code == 0, found.output

    way = longest_way(run)
    assert way[-1][1] == "hidden"
    assert len(way) <= 10, way
    assert len({file for file, _ in way}) <= 5, way
