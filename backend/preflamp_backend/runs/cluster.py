"""Shards on a dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from preflamp_backend.faults import fault


@dataclass(frozen=True)
class Cluster:
    """Where shards run.

    Parameters
    ----------
    workers : int
        Processes of a cluster on this machine; 0 runs in this process. With GPUs, one a worker.
    address : str
        Scheduler of a running dask cluster; it takes precedence.
    """

    workers: int = 0
    address: str = ""


@contextmanager
def _client(cluster: Cluster) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if cluster.address:
        try:
            client = Client(cluster.address, timeout="30s")
        except (OSError, ValueError) as error:
            raise fault(
                f"cannot be reached ({error})", "check the scheduler", variable=cluster.address
            ) from error
        with client:
            yield client
        return
    # One task a worker at a time: models are large, and torch uses the cores by itself.
    with (
        LocalCluster(
            n_workers=cluster.workers, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        Client(local) as client,
    ):
        yield client
