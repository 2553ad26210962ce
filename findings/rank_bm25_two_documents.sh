#!/usr/bin/env bash
# rank-bm25 0.2.2, BM25Okapi over few documents, as when a user's own texts are ranked: a word that
# stands in one of two documents weighs log(1.5 / 1.5) = 0, so every score is 0 and no document is
# preferred to the one without the word; with one document a match scores below 0. BM25L and
# BM25Plus of the same package do prefer the match.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'rank-bm25==0.2.2' 'numpy==2.4.6' 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

from rank_bm25 import BM25L, BM25Okapi, BM25Plus

print("rank-bm25", version("rank-bm25"))
texts = [["ranking", "rewards"], ["long", "titles"]]
two = BM25Okapi(texts).get_scores(["rewards"])
one = BM25Okapi(texts[:1]).get_scores(["rewards"])
others = [kind(texts).get_scores(["rewards"]) for kind in (BM25L, BM25Plus)]
print("Okapi, two documents:", two.tolist(), "| one document:", one.tolist())
print("L and Plus, two documents:", [scores.round(3).tolist() for scores in others])
if two.any() or one[0] >= 0 or not all(scores[0] > scores[1] for scores in others):
    raise SystemExit("changed: the word in one of two documents is scored otherwise")
PY
