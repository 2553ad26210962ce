#!/usr/bin/env bash
# sacrebleu 2.6.0, paired bootstrap and paired approximate randomisation: a system that is compared
# with a copy of the baseline gets the smallest p-value that there is, 1 / (n + 1), .0099 at 100
# trials, beside equal scores. A resample counts only if its difference exceeds the observed one,
# and 0 does not exceed 0. So outputs that are alike pass for significantly different.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'sacrebleu==2.6.0' 'numpy==2.4.6' 2>/dev/null
"$folder/venv/bin/python" - 2>/dev/null <<'PY'
import sacrebleu
from sacrebleu.metrics import CHRF
from sacrebleu.significance import PairedTest

print("sacrebleu", sacrebleu.__version__)
references = ["Learning what a reader wants", "Rewards that write", "A note on ranking"] * 10
written = ["Learning what readers want", "A reward that writes", "Notes on ranking"] * 10
for kind in ("bs", "ar"):
    test = PairedTest(
        [("baseline", written), ("its copy", list(written))],
        {"chrF": CHRF()},
        references=[references],
        test_type=kind,
        n_samples=100,
    )
    baseline, copy = test()[1]["chrF2"]
    print(kind, "scores", baseline.score, copy.score, "p", copy.p_value)
    if baseline.score != copy.score or abs(copy.p_value - 1 / 101) > 1e-12:
        raise SystemExit("changed: a copy is no longer significantly different")
PY
