#!/usr/bin/env bash
# evalica 0.4.2, bradley_terry: where one method beats a second and the second beats a third, and
# nobody ever lost the other way, all three get the same score (the tolerance, 1e-6) after two
# iterations, without a warning. The maximum of the likelihood lies at infinity there; the scores
# say "equal" where counting() ranks the three. Two pairs of methods that never met do the same.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'evalica==0.4.2' 'numpy==2.4.6' 'pandas==3.1.1' 2>/dev/null
"$folder/venv/bin/python" -W error::RuntimeWarning - <<'PY'
from importlib.metadata import version

import evalica
from evalica import Winner

print("evalica", version("evalica"))
games = {
    "a beats b twice, b beats c": (["a", "a", "b"], ["b", "b", "c"], [Winner.X] * 3),
    "a and b split, c beats d twice": (
        ["a", "a", "c", "c"],
        ["b", "b", "d", "d"],
        [Winner.X, Winner.Y, Winner.X, Winner.X],
    ),
}
for name, (first, second, winners) in games.items():
    found = evalica.bradley_terry(first, second, winners)
    scores = found.scores.sort_index()
    counted = evalica.counting(first, second, winners).scores.sort_index()
    print(name, "| scores", scores.to_dict(), "| iterations", found.iterations)
    print(name, "| wins", counted.to_dict())
    if scores.nunique() != 1 or counted.nunique() == 1:
        raise SystemExit("changed: the scores differ, or the counts do not")
PY
