#!/usr/bin/env bash
# statsmodels 0.15.0, aggregate_raters, the way to fleiss_kappa: a missing rating (NaN) becomes a
# category of its own, and raters agree on not having rated. Two raters who agree by chance alone,
# and both skipped the same half of the items, have kappa .5 instead of 0. No warning.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'statsmodels==0.15.0' 'numpy==2.4.6' 'pandas==3.1.1' 'scipy==1.17.1' 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import statsmodels
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

print("statsmodels", statsmodels.__version__)
rated = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 10, dtype=float)
skipped = np.full(rated.shape, np.nan)
kappa = {}
for name, data in {"rated": rated, "and as many skipped": np.vstack([rated, skipped])}.items():
    table, categories = aggregate_raters(data)
    kappa[name] = fleiss_kappa(table)
    print(name, "| categories", categories.tolist(), "| kappa", round(kappa[name], 3))
if abs(kappa["rated"]) > 1e-9 or kappa["and as many skipped"] < 0.5:
    raise SystemExit("changed: a missing rating is no category")
PY
