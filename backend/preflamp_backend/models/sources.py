"""Models in other forms than a folder of safetensors: GGUF files, adapters on a base model.

Each is turned once into a plain folder in a cache, by the libraries that define the form, and is
then loaded like any other model. What it was made from is written beside the weights.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import tokenizers
import torch
import transformers
from safetensors import safe_open
from tokenizers import pre_tokenizers

from preflamp_backend.faults import fault
from preflamp_backend.files.text import json_hash, json_object, read_json
from preflamp_stats.errors import InputError

ORIGIN = "made_from.json"
"""Beside the weights of a folder that was made from another form: what it was made from."""
_ADAPTER, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FORM = 1
"""Counts the ways in which folders were made: another way, another place in the cache."""

# How text is cut before merges, by the name that llama.cpp's converter gives to it. The library's
# own reading knows some (5.23: not smollm) and cuts the others as GPT-2 does. Patterns are those of
# the models' tokenizer.json.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MODERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,%d}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CUTS = {
    "gpt-2": (_WORDS,),
    "smollm": (r"\p{N}", _WORDS),
    "llama-bpe": (_MODERN % 3,),
    "qwen2": (_MODERN % 1,),
}


def plain_folder(path: str, into: Path | None = None) -> str:
    """Return the folder of plain weights that a model's path stands for, making it where needed.

    Parameters
    ----------
    path : str
        A GGUF file; a folder with one and no safetensors; a folder with an adapter
        (``adapter_config.json``); anything else is returned as it is.
    into : Path, optional
        Where to make the folder; a place in the cache by default.

    Raises
    ------
    InputError
        For a file that cannot be read, a tokenizer whose rules are not known, a library that is
        missing (naming the extra), or an adapter that is no safetensors or does not fit its base.

    Notes
    -----
    Folders are made in ``$PREFLAMP_CACHE/models`` (``~/.cache/preflamp-stats/models``), named by
    the SHA-256 of what they are made from.

    Examples
    --------
    >>> plain_folder("Qwen/Qwen3-0.6B")
    'Qwen/Qwen3-0.6B'
    """
    place = Path(path)
    if place.suffix == ".gguf":
        return _from_gguf(place, into)
    if not place.is_dir():
        return path
    if (place / _ADAPTER).is_file() and not (place / "config.json").is_file():
        return _from_adapter(place, into)
    files = sorted(place.glob("*.gguf"))
    if not files or next(place.glob("*.safetensors"), None):
        return path
    if len(files) > 1:
        names = ", ".join(each.name for each in files)
        raise fault(f"holds {len(files)} GGUF files ({names})", "name one of them", variable=path)
    return _from_gguf(files[0], into)


def in_bits(bits: str, device: torch.device, path: str) -> dict[str, Any]:
    """Return what the library is told to keep weights in few bits; nothing for all of them.

    8 bits without the split of outliers, which looks at a whole batch: a text's numbers would
    depend on its neighbours.

    Raises
    ------
    InputError
        Naming the extra where bitsandbytes is missing.
    """
    if not bits:
        return {}
    with _library("bitsandbytes", "accelerate", extra="bits", path=path, verb="kept in few bits"):
        kind = transformers.BitsAndBytesConfig
    if bits == "8":
        config = kind(load_in_8bit=True, llm_int8_threshold=0.0)
    else:
        config = kind(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    return {"quantization_config": config, "device_map": {"": device}}


def origin(folder: str) -> dict[str, Any]:
    """Return what a plain folder was made from; empty where it always was one."""
    return json_object(Path(folder) / ORIGIN)


@cache
def _from_gguf(file: Path, into: Path | None) -> str:
    with _library("gguf", "accelerate", extra="gguf", path=file):
        from gguf import GGUFReader
    _there(file)
    saved = file.with_name("tokenizer.json")
    made_from: dict[str, Any] = {"gguf": _hash(file)}
    if saved.is_file():
        made_from["tokenizer"] = _hash(saved)

    def make(folder: Path) -> None:
        reader = GGUFReader(file)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        kinds = [tensor.tensor_type.name for tensor in reader.tensors]
        made_from["tensors"] = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        del reader
        options: dict[str, Any] = {"gguf_file": file.name}
        if saved.is_file():
            tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent)
        else:
            tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **options)
            _cut_as_named(tokenizer, fields, file)
        _same_tokens(tokenizer, fields, file)
        _write_tokenizer(tokenizer, fields, folder)
        read, found = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, **options, dtype=torch.float32, output_loading_info=True
        )
        if absent := sorted(found["missing_keys"]):
            what = f"lacks {len(absent)} weights of its architecture, such as {absent[0]}"
            raise fault(what, "take a whole file", file)
        # What the library read it refuses to write; a model of the same shape it writes.
        config = transformers.AutoConfig.from_pretrained(file.parent, **options)
        plain = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(read.state_dict())
        plain.generation_config.eos_token_id = _ends(fields)
        plain.save_pretrained(folder)

    return _made(made_from, make, file, "gguf", into)


def _cut_as_named(tokenizer: Any, fields: Mapping[str, Any], file: Path) -> None:
    """Let a byte-pair tokenizer cut texts by the rule that its file names."""
    if fields["tokenizer.ggml.model"] == "llama":
        return  # of sentencepiece: merges alone decide
    named = fields.get("tokenizer.ggml.pre", "")
    if fields["tokenizer.ggml.model"] != "gpt2" or named not in _CUTS:
        what = f"cuts texts by rules named {named!r}, which its file does not hold"
        raise fault(what, "put the model's own tokenizer.json beside it: that decides", file)
    backend = tokenizer.backend_tokenizer
    cuts = [pre_tokenizers.Split(tokenizers.Regex(each), "isolated") for each in _CUTS[named]]
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*cuts, level])
    # Llama 3 takes a piece that is a token as it is, whatever merges would make of it.
    backend.model.ignore_merges = named == "llama-bpe"


def _same_tokens(tokenizer: Any, fields: Mapping[str, Any], file: Path) -> None:
    """Refuse a tokenizer whose ids mean other tokens than the file's."""
    own, tokens = tokenizer.get_vocab(), fields["tokenizer.ggml.tokens"]
    if fields["tokenizer.ggml.model"] == "llama":
        # Files write a token of blanks as blanks.
        own = {token.replace("▁", " "): at for token, at in own.items()}
        tokens = [token.replace("▁", " ") for token in tokens]
    other = next((at for at, token in enumerate(tokens) if own.get(token) != at), None)
    # A file may name more tokens than there are, to fill its matrix.
    if other is not None and other < len(tokenizer):
        what = f"has token {other} {tokens[other]!r}, its tokenizer.json another"
        raise fault(what, "take the two from one model", file)


def _write_tokenizer(tokenizer: Any, fields: Mapping[str, Any], folder: Path) -> None:
    """Write a tokenizer that begins texts as the file says."""
    begins = fields.get("tokenizer.ggml.add_bos_token")
    if begins is not None and bool(begins) != _begins(tokenizer):
        tokenizer.add_bos_token = bool(begins)
        tokenizer.update_post_processor()
    tokenizer.save_pretrained(folder)


def _begins(tokenizer: Any) -> bool:
    ids = tokenizer.encode("a")
    return bool(ids) and ids[0] == tokenizer.bos_token_id


def _ends(fields: Mapping[str, Any]) -> int | list[int] | None:
    """Tokens that end a text or a turn."""
    named = ("eos", "eot", "eom")
    found = [fields.get(f"tokenizer.ggml.{name}_token_id") for name in named]
    ends = list(dict.fromkeys(int(each) for each in found if each is not None))
    return ends[0] if len(ends) == 1 else ends or None


@cache
def _from_adapter(folder: Path, into: Path | None) -> str:
    with _library("peft", extra="adapters", path=folder):
        import peft
    weights = _there(folder / _ADAPTER_WEIGHTS)
    said = read_json(folder / _ADAPTER, "give a folder that PEFT saved")
    base, task = said.get("base_model_name_or_path") or "", said.get("task_type")
    if not base:
        raise fault("names no base model", "set base_model_name_or_path", folder / _ADAPTER)
    kinds = {
        "CAUSAL_LM": transformers.AutoModelForCausalLM,
        "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    }
    if task not in kinds:
        what = f"is of task {task!r}"
        raise fault(what, f"give an adapter of {' or '.join(kinds)}", folder / _ADAPTER)
    # A base beside the adapter may be named from there.
    base = plain_folder(str(folder / base) if (folder / base).exists() else base)
    made_from = {
        "adapter": _hash(folder / _ADAPTER, weights),
        "base": _hash(*sorted(Path(base).glob("*.safetensors"))) if os.path.isdir(base) else base,
    }

    def make(out: Path) -> None:
        options = {"num_labels": _labels(weights)} if task == "SEQ_CLS" else {}
        network = kinds[task].from_pretrained(
            base,
            revision=said.get("revision"),
            dtype=torch.float32,
            use_safetensors=True,
            **options,
        )
        own = folder if (folder / "tokenizer.json").is_file() else base
        tokenizer = transformers.AutoTokenizer.from_pretrained(own)
        if len(tokenizer) > network.get_input_embeddings().num_embeddings:
            network.resize_token_embeddings(len(tokenizer))
        adapted = peft.PeftModel.from_pretrained(network, folder, torch_device="cpu")
        adapted.merge_and_unload(safe_merge=True).save_pretrained(out)
        tokenizer.save_pretrained(out)

    return _made(made_from, make, folder, "peft", into)


def _labels(weights: Path) -> int:
    """Numbers that an adapter's own head gives a response."""
    with safe_open(weights, "pt") as file:
        heads = [name for name in file.keys() if name.endswith("score.weight")]  # noqa: SIM118
        return int(file.get_slice(heads[0]).get_shape()[0]) if heads else 1


def _made(
    made_from: dict[str, Any],
    make: Callable[[Path], None],
    source: Path,
    library: str,
    into: Path | None,
) -> str:
    """Return the folder for what a model is made from, whole or not there."""
    made_from["with"] = {name: version(name) for name in ("transformers", library)}
    folder = into or _cache() / json_hash([_FORM, made_from])[:24]
    if (folder / ORIGIN).is_file():
        return str(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        with _refusals(source):
            make(aside)
        (aside / ORIGIN).write_text(json.dumps(made_from, indent=1), encoding="utf-8")
        aside.chmod(0o755)
        try:
            aside.rename(folder)
        except OSError:
            # Somebody else made it meanwhile.
            if not (folder / ORIGIN).is_file():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return str(folder)


def _cache() -> Path:
    home = os.environ.get("PREFLAMP_CACHE") or Path.home() / ".cache" / "preflamp-stats"
    return Path(home) / "models"


@contextmanager
def _refusals(source: Path) -> Iterator[None]:
    """Say of which file it was that a library could make nothing."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # Whatever the libraries make of a bad file.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        what = f"cannot be turned into plain weights ({lines[0]})"
        mend = "give a whole file of an architecture that transformers reads"
        raise fault(what, mend, source) from error


@contextmanager
def _library(*names: str, extra: str, path: str | Path, verb: str = "read") -> Iterator[None]:
    """Import what an extra brings, or say which."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        what = f"is {verb} by {' and '.join(missing)}, which cannot be found"
        instead = "leave bits out" if extra == "bits" else "give a plain folder of safetensors"
        raise fault(what, f"pip install 'preflamp-stats[{extra}]', or {instead}", path)
    yield


def _there(file: Path) -> Path:
    if not file.is_file():
        mend = "check the path; weights are read from safetensors and GGUF only"
        raise fault("is not there", mend, file)
    return file


def _hash(*files: Path) -> str:
    digest = sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()
