"""The backend's doctests need torch; without it there is nothing to collect."""

from importlib.util import find_spec

if find_spec("torch") is None or find_spec("transformers") is None:
    collect_ignore_glob = ["preflamp_backend/*"]
