#!/usr/bin/env bash
# xarray 2026.9.0, combine_by_coords(join="outer") over shards of one study, labelled by text: labels
# that are unique but do not ascend as text ("e2" before "e10") are refused ("does not have monotonic
# global indexes"), so shards in the order of their numbers cannot be joined by coordinates.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'xarray==2026.9.0' 'numpy==2.4.6' 'pandas==3.1.1' 2>/dev/null
"$folder/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import xarray as xr

print("xarray", xr.__version__)


def shard(labels):
    values = np.arange(len(labels), dtype=float)
    return xr.Dataset({"reward": ("example", values)}, coords={"example": labels})


try:
    xr.combine_by_coords([shard(["e2", "e10"]), shard(["e3", "e11"])], join="outer")
except ValueError as error:
    print("unsorted labels:", str(error).replace("\n", " ")[:120])
else:
    raise SystemExit("changed: labels that do not ascend are combined")
PY
