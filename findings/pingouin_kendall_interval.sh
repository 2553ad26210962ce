#!/usr/bin/env bash
# pingouin 0.6.0, corr(method="kendall"): the interval is Fisher's for Pearson's r, tanh(atanh(tau) ±
# 1.96 / sqrt(n - 3)), with tau put in the place of r. It is too wide for tau, so that the same row
# holds p < .05 and an interval with 0 in it.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pingouin==0.6.0' 'numpy<2.5' 2>/dev/null
"$folder/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import pingouin

print("pingouin", version("pingouin"))
rng = np.random.default_rng(0)
x = rng.normal(size=30)
row = pingouin.corr(x, x + rng.normal(size=30), method="kendall").iloc[0]
tau, p = row["r"], row["p_val"]
interval = np.asarray(row["CI95"], dtype=float)
fisher = np.tanh(np.arctanh(tau) + np.array([-1, 1]) * 1.96 / np.sqrt(27))
print(f"tau {tau:.3f}, p {p:.4f}, interval {interval.tolist()}, Fisher's for r {fisher.round(2).tolist()}")
if p >= 0.05 or interval[0] > 0 or abs(interval - fisher).max() > 0.006:
    raise SystemExit("changed: the interval is not Fisher's, or p and interval agree")
PY
