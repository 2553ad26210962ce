"""Tensors with what is said about them, in safetensors files that are whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from preflamp_backend.faults import fault
from preflamp_backend.files.text import replacing


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None
) -> None:
    """Write tensors and JSON values aside, flush them, and move them into place.

    Parameters
    ----------
    path : path
        File to write; its folder is made where it is missing.
    tensors : mapping of str to Tensor
    about : mapping of str to JSON value, optional
        Metadata, stored as one JSON text. Equal tensors and metadata make equal bytes.

    Raises
    ------
    InputError
        If the file cannot be written there.

    Examples
    --------
    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/t.safetensors", {"a": torch.ones(2)}, {"kind": "linear"})
    ...     read_tensors(f"{folder}/t.safetensors")
    ({'a': tensor([1., 1.])}, {'kind': 'linear'})
    """
    # One entry: safetensors writes several in random order, and equal files would differ.
    texts = {"about": json.dumps(dict(about or {}), sort_keys=True)}
    copies: dict[str, Tensor] = {}
    written: set[int] = set()
    for name, each in tensors.items():
        flat = each.detach().cpu().contiguous()
        # A file cannot hold tensors that share memory; others are as large as a model, and stay.
        shared = flat.untyped_storage().data_ptr() in written
        copies[name] = flat.clone() if shared else flat
        written.add(flat.untyped_storage().data_ptr())
    with replacing(path, "check the space and the rights there", SafetensorError) as beside:
        save_file(copies, str(beside), metadata=texts)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read all tensors of a safetensors file, onto the CPU, and its metadata.

    Returns
    -------
    dict of str to Tensor
    dict of str to JSON value
        What :func:`write_tensors` was given; of other files, all metadata, each entry a JSON text.

    Raises
    ------
    InputError
        For a file that is missing or is no safetensors file, or metadata that is not JSON.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            texts = {key: json.loads(text) for key, text in (file.metadata() or {}).items()}
        about = texts.get("about", texts)
        if not isinstance(about, dict):
            raise ValueError("its metadata is no JSON object")
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        mend = "name a safetensors file that this program wrote"
        raise fault(f"cannot be read ({error})", mend, str(path)) from error
    return tensors, about
