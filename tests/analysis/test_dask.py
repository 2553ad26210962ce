"""An analysis through dask, in threads or on a cluster, gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

import preflamp_stats as pls
from preflamp_stats.outputs.csv_markdown import to_csv

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dask") / "results.nc"
    study = pls.simulate(datasets=["a", "b"], n_methods=4, n_users=30, tokens=5, seed=2)
    pls.write_results(study, path)
    return path


def csv(results: Path, **chunks: object) -> dict[str, str]:
    with pls.open_results(results, **chunks) as tree:
        tables = pls.analyze(tree, pls.Settings(resamples=200)).tables
    return {name: to_csv(table) for name, table in tables.items()}


def test_dask_in_threads_gives_the_same_bytes(results: Path) -> None:
    assert csv(results, chunks={"example": 70}) == csv(results)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(results: Path) -> None:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        assert csv(results, chunks={"example": 70}) == csv(results)
