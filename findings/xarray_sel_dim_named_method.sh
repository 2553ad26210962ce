#!/usr/bin/env bash
# xarray 2026.9.0, sel(method="lore") on an array whose dim is called "method": the keyword is the
# one for inexact look-up (nearest, pad, …), no index is asked, so nothing looks at its value, and
# the whole array comes back without a word. What is meant is sel({"method": "lore"}). A mean over
# the "selected" method is then the mean over all. isel, without such a keyword, does select.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'xarray==2026.9.0' 'numpy==2.4.6' 'pandas==3.1.1' 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import xarray as xr

print("xarray", xr.__version__)
accuracy = xr.DataArray([0.5, 0.9], {"method": ["bt", "lore"]}, ["method"])
keyword = accuracy.sel(method="lore")
print("sel(method=...):", keyword.values, "| mean", keyword.mean().item())
print("sel({...}):", accuracy.sel({"method": "lore"}).item(), "| isel:", accuracy.isel(method=1).item())
if keyword.sizes != {"method": 2} or accuracy.sel({"method": "lore"}).item() != 0.9:
    raise SystemExit("changed: the keyword selects or is refused")
try:
    accuracy.rename(method="system").sel(system="absent")
except KeyError as error:
    print("a dim of another name:", type(error).__name__, error.args[0])
else:
    raise SystemExit("changed: an absent label is let pass")
PY
