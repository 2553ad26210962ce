"""Shards on a dask cluster: sent to its workers, and sent anew where it drops them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from preflamp_backend.data.examples import Example
from preflamp_backend.faults import fault
from preflamp_backend.runs.shards import Shard
from preflamp_backend.study.study import Study

Run = Callable[[Study, Shard, Sequence[Example], Path], Shard]

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Times that shards are sent to a cluster that drops them."""


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


def run_on_cluster(
    cluster: Cluster,
    run: Run,
    study: Study,
    pending: Sequence[Shard],
    examples: Mapping[str, Sequence[Example]],
    folder: Path,
) -> Iterator[Shard]:
    """Run shards on a cluster, and give each back as it is done."""
    try:
        from distributed import as_completed
    except ImportError as error:
        mend = "pip install 'preflamp-stats[dask]', or leave it out to run in this process"
        raise fault("needs dask", mend, variable="--workers") from error
    left = {shard.key: shard for shard in pending}
    with _client(cluster) as client:
        for attempt in range(_ATTEMPTS):
            # Examples go to the workers once; a shard's task then names them only.
            sent = {
                name: client.scatter(rows, hash=False, broadcast=True)
                for name, rows in examples.items()
            }
            send = partial(client.submit, _on_worker, run, study, folder.resolve(), pure=False)
            futures = [
                send(shard, sent[shard.dataset], key=f"{shard.key}-{attempt}")
                for shard in left.values()
            ]
            try:
                for future in as_completed(futures):
                    shard = future.result()
                    del left[shard.key]
                    yield shard
                return
            except CancelledError:
                # The examples went with the workers that held them, or the scheduler lost touch.
                _LOG.warning("the cluster dropped %d shards; sending them anew", len(left))
    raise fault(
        f"dropped {len(left)} shards {_ATTEMPTS} times",
        "run again to go on with what is missing, with fewer workers if memory is short",
        variable=cluster.address or f"--workers {cluster.workers}",
    )


def _on_worker(
    run: Run, study: Study, folder: Path, shard: Shard, examples: Sequence[Example]
) -> Shard:
    """Run a shard on the worker's own GPU, where there are any."""
    from distributed import get_worker

    if torch.cuda.is_available():
        name = str(get_worker().name)
        number = int(name) if name.isdecimal() else 0
        torch.cuda.set_device(number % torch.cuda.device_count())
    return run(study, shard, examples, folder)


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
