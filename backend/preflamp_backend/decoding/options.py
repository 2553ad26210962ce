"""What is asked of decoding, checked once and recorded, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from preflamp_backend.options import Check, Options, at_least, option
from preflamp_backend.prompts.encoding import Encoding

Ids = Sequence[int]

Strategy = Literal["plain", "guided", "best-of-n"]


@dataclass(frozen=True)
class DecodingOptions(Options):
    """How responses are written.

    Parameters
    ----------
    strategy : {"plain", "guided", "best-of-n"}
        ``guided`` combines the model's logits with a reward at each step: ARGS with reward heads,
        GenARM or PAD with an autoregressive reward model. ``best-of-n`` samples n and keeps the
        highest reward.
    weight : float
        Weight w of the reward (α in GenARM).
    top_k : int, optional
        Tokens considered at each step. None considers all, which reward heads cannot afford.
    temperature : float
        0 takes the best token; above, tokens are drawn from softmax(score / temperature).
    n : int
        Samples of best-of-n.
    max_new_tokens : int
        Longest generation.
    stop : tuple of str, optional
        Texts before which a generation ends, whatever decodes it. None, the default, takes in a
        study without a chat template what its shots write after ``{output}``: a base model goes on
        as they do. Nothing else stops by a text.
    batch_rows : int
        Sequences decoded side by side; halved where memory runs out. It changes no result.
    """

    strategy: Strategy = "plain"
    weight: float = at_least(0, 1.0)
    top_k: int | None = at_least(1, None)
    temperature: float = at_least(0, 0.0)
    n: int = at_least(1, 1)
    max_new_tokens: int = at_least(1, 64)
    stop: tuple[str, ...] | None = option(
        None, lambda stop: stop is None or all(stop), "give texts that are not empty"
    )
    batch_rows: int = at_least(1, 16)

    def checks(self) -> tuple[Check, ...]:
        """Samples of best-of-n must differ."""
        alike = self.strategy == "best-of-n" and self.n > 1 and self.temperature == 0
        return (("temperature", not alike, "take 1.0: at 0 all n samples are alike"),)


@dataclass(frozen=True)
class Request:
    """A prompt to answer.

    Parameters
    ----------
    key : str
        Names the example and the method; with the seed it fixes every random number.
    prompt : Encoding
        As the base model reads it.
    user : str
        Whose reward heads are meant.
    reward_text : str, optional
        The prompt as text for a reward model with a backbone of its own.
    reward_prompt : Encoding, optional
        The prompt as that reward model reads it.
    """

    key: str
    prompt: Encoding
    user: str = ""
    reward_text: str = ""
    reward_prompt: Encoding | None = None

    @property
    def judged(self) -> Ids:
        """Ids of the prompt as whatever judges the response reads it."""
        return (self.reward_prompt or self.prompt).prompt


@dataclass(frozen=True)
class Generation:
    """A response that was written.

    Attributes
    ----------
    ids : tuple of int
        Those of the text: without the end token and what a stop string cut off.
    text : str
    stop : {"eos", "stop", "length", "context"}
    logprob : float
        log π of the ids under the base model, nats, as
        :func:`preflamp_backend.scoring.score.score` counts them; with ``count_eos`` of the end
        token that was written too.
    reward : float
        NaN without a reward model and for an empty response.
    """

    ids: tuple[int, ...]
    text: str
    stop: str
    logprob: float
    reward: float


@dataclass(frozen=True)
class Written:
    """Ids of a generation without the token that ended it, why it stopped, and that token.

    ``stop`` is ``eos``, ``stop`` (a stop string, which is cut off), ``length`` (max_new_tokens) or
    ``context`` (the model can see no further). Of a server ``logprobs`` are those that it gave, and
    ``text`` is there where it tells no ids.
    """

    ids: tuple[int, ...]
    stop: str
    end: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    text: str | None = None

    def counted(self, end: bool) -> tuple[int, ...]:
        """Ids that are scored: with the token that ended it, or without."""
        return (*self.ids, *self.end) if end else self.ids
