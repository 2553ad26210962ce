"""Where a served model is, how it is asked, and what makes its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from transformers import GenerationConfig
from transformers.utils.hub import cached_file

from preflamp_backend.models.loading import ModelSource, load_tokenizer, reading
from preflamp_backend.options import Check, above_zero, at_least


@dataclass(frozen=True)
class EngineSource(ModelSource):
    """A model that a server runs; tokens are made here, by the tokenizer that is named.

    Parameters
    ----------
    path : str
        Address of the API, such as ``http://localhost:8000/v1``.
    tokenizer : str
        Folder or hub name whose tokenizer is the server's; its configuration tells the context.
    served : str
        The model's name at the server; empty takes the only one that it lists.
    server : {"openai", "vllm", "llama.cpp"}
        How it gives log-probabilities of a prompt: ``prompt_logprobs`` (vLLM), or ``echo`` with
        ``logprobs``. To ``openai`` only fields of the published API are sent.
    sends : {"ids", "text"}
        What a prompt is sent as. Text is refused where it would be read as other tokens.
    revision : str, optional
        States which weights are served. Without it the address stands for them, and results under
        another address are computed anew.
    context : int, optional
        Tokens that the server lets a prompt and its answer have.
    parameters : float, optional
        Parameter count, for tables by model size.
    concurrency : int
        Requests at a time.
    timeout : float
        Seconds that an answer may take.
    attempts : int
        Times that a request is made which fails for a reason that may pass.
    per_minute : float, optional
        Requests a minute, at most.
    price_read, price_written : float, optional
        Of a million tokens that are read and written, for ``--dry-run``.
    key : str
        Environment variable that holds the API key. The key itself is written nowhere.
    """

    tokenizer: str = ""
    served: str = ""
    server: Literal["openai", "vllm", "llama.cpp"] = "openai"
    sends: Literal["ids", "text"] = "ids"
    context: int | None = at_least(2, None)
    parameters: float | None = above_zero(None)
    concurrency: int = at_least(1, 8)
    timeout: float = above_zero(300.0)
    attempts: int = at_least(1, 6)
    per_minute: float | None = above_zero(None)
    price_read: float | None = at_least(0, None)
    price_written: float | None = at_least(0, None)
    key: str = "PREFLAMP_API_KEY"

    def checks(self) -> tuple[Check, ...]:
        """An address and no secret in it; nothing that the server decides."""
        parts = urlsplit(self.path)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        address = "give an address such as http://localhost:8000/v1, the key by the environment"
        ours = "leave it out: the server decides it"
        return (
            ("path", bool(is_address(self.path) and parts.hostname and plain), address),
            ("tokenizer", bool(self.tokenizer), "name the folder or hub model with its tokenizer"),
            ("dtype", self.dtype == "float32", ours),
            ("device", self.device == "auto", ours),
            ("bits", not self.bits, ours),
        )

    @property
    def files(self) -> ModelSource:
        """Where tokenizer and configuration are read."""
        return ModelSource(self.tokenizer)

    @property
    def limit(self) -> int:
        """Tokens of a prompt and its answer."""
        return self.context or self.files.limit

    @property
    def ends(self) -> tuple[int, ...]:
        """Ids that end a generation: what the configuration says, else the tokenizer."""
        name, found = "generation_config.json", None
        with reading(self.files):
            if cached_file(self.tokenizer, name, _raise_exceptions_for_missing_entries=False):
                found = GenerationConfig.from_pretrained(self.tokenizer).eos_token_id
        found = load_tokenizer(self.files).eos_token_id if found is None else found
        return () if found is None else (found,) if isinstance(found, int) else tuple(found)

    def price(self, read: float, written: float) -> float:
        """Price of tokens; NaN where the study names none.

        Examples
        --------
        >>> options = {"tokenizer": "m", "price_read": 2, "price_written": 4}
        >>> EngineSource("http://localhost/v1", **options).price(1_000_000, 250_000)
        3.0
        """
        if self.price_read is None or self.price_written is None:
            return math.nan
        return (read * self.price_read + written * self.price_written) / 1e6

    def stated(self) -> dict[str, str]:
        """Say what is known of the weights: that a server has them."""
        where = self.revision or self.path.rstrip("/")
        return {"weights": f"served: {self.served} ({where})", "dtype": "the server's"}


def is_address(path: str) -> bool:
    """Whether a model's path is that of a server."""
    return path.startswith(("http://", "https://"))
