#!/usr/bin/env bash
# statsmodels 0.15.0, mcnemar(exact=False), correction on as by default: (|b - c| - 1)^2 / (b + c) is
# computed for b = c too, where |b - c| - 1 is -1. Two systems that win as often against each other
# get p < 1, and a smaller p than two that differ by one: evidence grows as the difference falls to
# none. The correction is meant to end at 0, as in R's mcnemar.test.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'statsmodels==0.15.0' 'numpy==2.4.6' 'pandas==3.1.1' 'scipy==1.17.1' 2>/dev/null
"$folder/venv/bin/python" -W ignore - <<'PY'
import statsmodels
from statsmodels.stats.contingency_tables import mcnemar

print("statsmodels", statsmodels.__version__)
p = {}
for b, c in ((3, 3), (4, 3), (1, 1), (2, 1)):
    found = mcnemar([[20, b], [c, 20]], exact=False)
    exact = mcnemar([[20, b], [c, 20]], exact=True)
    p[b, c] = found.pvalue
    print(f"{b} wins against {c}: statistic {found.statistic:.3f}, p {found.pvalue:.3f}, exact p {exact.pvalue:.3f}")
if not (p[3, 3] < 0.7 < p[4, 3] == 1 and p[1, 1] < 0.5 < p[2, 1] == 1):
    raise SystemExit("changed: equal counts have p = 1")
PY
