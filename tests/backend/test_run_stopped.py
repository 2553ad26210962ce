"""A run that is stopped, spread over processes or out of space ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from preflamp_backend.cli.run import run_command
from preflamp_backend.runs import run as run_module
from preflamp_backend.runs.cluster import Cluster
from preflamp_backend.runs.run import prepare, run_study
from preflamp_backend.study.study import read_study
from study_files import LIGHT, write_study

from preflamp_stats.cli.group import main
from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def unbroken(study_file, tmp_path_factory):
    """Results of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("out") / "results.nc"
    run_study(prepare(read_study(study_file), out))
    return out


def test_a_killed_run_resumes_to_the_same_bytes(study_file, unbroken, tmp_path):
    out = tmp_path / "results.nc"
    code = (
        "from preflamp_backend.runs.run import *;"
        "from preflamp_backend.study.study import read_study;"
        "from pathlib import Path; import sys, torch; torch.set_num_threads(1);"
        "run_study(prepare(read_study(sys.argv[1]), Path(sys.argv[2])))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen([sys.executable, "-c", code, str(study_file), str(out)], env=env)
    folder = tmp_path / "results.nc.shards"
    while process.poll() is None and len(list(folder.glob("*.nc"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    planned = prepare(read_study(study_file), out)
    done = {shard.key for shard in planned.shards} - {shard.key for shard in planned.pending()}
    assert len(done) >= 3
    run_study(planned)
    assert out.read_bytes() == unbroken.read_bytes()


def test_an_interrupted_run_says_in_a_line_how_far_it_came(
    study_file, unbroken, tmp_path, monkeypatch
):
    out = tmp_path / "results.nc"
    compute, computed = run_module.compute_shard, []

    def interrupted(*arguments):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.append(compute(*arguments))
        return computed[-1]

    monkeypatch.setattr(run_module, "compute_shard", interrupted)
    result = CliRunner().invoke(main, ["run", str(study_file), "-o", str(out)])
    total = len({shard.key for shard in prepare(read_study(study_file), out).shards})
    assert result.exit_code == 130
    note, said = result.stderr.splitlines()
    assert note.endswith("bt.safetensors does not say how it was trained, and is read as it is")
    assert said == f"preflamp-stats: stopped with 2 of {total} shards done; run again to go on"
    assert not out.exists()
    monkeypatch.undo()
    again = CliRunner().invoke(main, ["run", str(study_file), "-o", str(out)])
    assert again.exit_code == 0
    assert f"2 of {total} shards are done already" in again.stderr
    assert out.read_bytes() == unbroken.read_bytes()


def test_a_shard_cut_short_is_computed_again(study_file, unbroken, tmp_path):
    out = tmp_path / "results.nc"
    planned = prepare(read_study(study_file), out)
    run_study(planned)
    victim = sorted(planned.folder.glob("*.nc"))[0]
    victim.write_bytes(victim.read_bytes()[:5000])
    out.unlink()
    assert len(planned.pending()) == 1
    run_study(planned)
    assert out.read_bytes() == unbroken.read_bytes()


def test_a_run_that_is_done_computes_nothing(study_file, unbroken, monkeypatch):
    monkeypatch.setattr(run_module, "compute_shard", lambda *a: pytest.fail("computed again"))
    before = unbroken.read_bytes()
    run_study(prepare(read_study(study_file), unbroken))
    assert unbroken.read_bytes() == before


def test_shards_of_another_size_give_the_same_numbers(study_file, unbroken, tmp_path):
    text = LIGHT.replace("shard_size = 4", "shard_size = 3").replace(
        "batch_rows = 4", "batch_rows = 1"
    )
    file = study_file.with_name("other.toml")
    file.write_text(text)
    run_study(prepare(read_study(file), tmp_path / "r.nc"))
    with open_results(unbroken) as one, open_results(tmp_path / "r.nc") as two:
        a, b = one["titles"].to_dataset().load(), two["titles"].to_dataset().load()
    assert (a.generation == b.generation).all()
    for name in ("logprob", "token_logprob", "reward", "reward_trace"):
        np.testing.assert_allclose(a[name], b[name], atol=1e-5)
    np.testing.assert_allclose(a.policy_score, b.policy_score, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("deaths", [1, 2])
def test_a_cluster_gives_the_same_bytes_though_workers_die(study_file, unbroken, tmp_path, deaths):
    out = tmp_path / "results.nc"
    planned = prepare(read_study(study_file), out)
    killed = []

    def kill(shard):
        if not killed:
            import psutil

            # Workers may name themselves; what multiprocessing keeps beside them does not.
            workers = [
                process
                for process in psutil.Process().children(recursive=True)
                if "resource_tracker" not in str(process.cmdline())
            ]
            for worker in workers[-deaths:]:
                killed.append(worker.pid)
                worker.kill()

    run_study(planned, cluster=Cluster(workers=2), report=kill)
    assert len(killed) == deaths
    assert out.read_bytes() == unbroken.read_bytes()


@pytest.mark.slow
def test_a_running_cluster_is_used_by_its_address(study_file, unbroken, tmp_path):
    from distributed import LocalCluster

    out = tmp_path / "results.nc"
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as running:
        address = running.scheduler_address
        done = CliRunner().invoke(
            run_command, [str(study_file), "-o", str(out), "--scheduler", address]
        )
    assert done.exit_code == 0, done.output
    assert out.read_bytes() == unbroken.read_bytes()


def test_the_command_says_what_it_would_do_and_what_it_wrote(study_file, tmp_path):
    out = tmp_path / "results.nc"
    dry = CliRunner().invoke(run_command, [str(study_file), "-o", str(out), "--dry-run"])
    assert dry.exit_code == 0
    assert "shards" in dry.output
    assert not out.exists()
    done = CliRunner().invoke(run_command, [str(study_file), "-o", str(out)])
    assert done.exit_code == 0
    assert out.exists()


def test_a_full_disk_is_said_not_traced(study_file, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "write_manifest", full)
    with pytest.raises(InputError, match=r"No space left.*free space"):
        run_study(prepare(read_study(study_file), tmp_path / "r.nc"))


LIMITED = """
import resource, sys
from pathlib import Path
from preflamp_backend.runs import run
from preflamp_backend.study.study import read_study
from preflamp_stats.errors import InputError
planned = run.prepare(read_study(sys.argv[1]), Path(sys.argv[2]))
assemble = run.assemble
def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
def assemble_limited(*arguments):
    limit()
    return assemble(*arguments)
if sys.argv[4] == "assembling":
    run.assemble = assemble_limited
else:
    limit()
try:
    run.run_study(planned)
except InputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize(
    "stage",
    ["shard", *(pytest.param(s, marks=pytest.mark.slow) for s in ("manifest", "assembling"))],
)
def test_a_disk_that_fills_up_is_said_and_what_was_done_stays(
    study_file, unbroken, tmp_path, stage
):
    sizes = {path: path.stat().st_size for path in unbroken.parent.rglob("*.nc")}
    whole = sizes.pop(unbroken)
    limit = {"manifest": 100, "shard": min(sizes.values()) + 500, "assembling": whole // 2}[stage]
    out = tmp_path / "results.nc"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", LIMITED, str(study_file), str(out), str(limit), stage]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert found.returncode == 2, found.stderr
    assert "cannot be written" in found.stdout
    assert "space" in found.stdout
    assert not out.exists()
    assert not list(tmp_path.rglob("*.partial"))
    planned = prepare(read_study(study_file), out)
    left = len(planned.pending())
    assert {"manifest": left == len(sizes), "shard": left > 0, "assembling": left == 0}[stage]
    run_study(planned)
    assert out.read_bytes() == unbroken.read_bytes()
