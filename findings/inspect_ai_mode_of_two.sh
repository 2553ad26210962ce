#!/usr/bin/env bash
# inspect_ai 0.3.285, epochs reduced by "mode": where two scores are as frequent, the one that came
# first is the answer. With two epochs the mode is the first epoch whenever they differ, the second
# never counts, and the same scores in another order give another accuracy.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'inspect_ai==0.3.285' 2>/dev/null
"$folder/venv/bin/python" -W ignore - 2>/dev/null <<'PY'
from importlib.metadata import version

from inspect_ai.scorer import SampleScore, Score, accuracy, mode_score

print("inspect_ai", version("inspect_ai"))


def reduced(epochs):
    return accuracy()([SampleScore(score=mode_score()([Score(value=v) for v in e])) for e in epochs])


first = [["C", "I"]] * 6 + [["I", "I"]] * 4
found = reduced(first), reduced([epoch[::-1] for epoch in first])
print("accuracy with the epochs in one order and the other:", found)
if found != (0.6, 0.0):
    raise SystemExit("changed: a tie does not go to the first")
PY
