"""Rewards of each example at every evaluation of somebody else's trainer, such as TRL's.

TRL's ``RewardTrainer`` joins prompt and response to one text, appends the end token (or lets a chat
template end the turn), and the library then reads the reward at the last token *that is not the
padding token*. Where a tokenizer pads with its end token, as TRL does where it has no other, the
end token that was appended is never read. :func:`classifier_rewards` reads where the trainer reads;
:func:`read_after` says which suffix of a study (``none``, ``eos``, ``turn``) does the same later.

Source: TRL 1.16, ``trl/trainer/reward_trainer.py``; transformers 5.24,
``GenericForSequenceClassification``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase, TrainerCallback

from preflamp_backend.data.examples import Example, candidate_names
from preflamp_backend.decoding.decode import decode
from preflamp_backend.decoding.options import DecodingOptions, Request
from preflamp_backend.faults import fault, in_example
from preflamp_backend.models.loading import (
    ModelSource,
    load_language_model,
    load_sequence_classifier,
)
from preflamp_backend.models.model import LanguageModel
from preflamp_backend.prompts.encoding import PromptFormat, encode, encode_prompt, suffix_ids
from preflamp_backend.scoring.forward import in_batches
from preflamp_backend.scoring.score import score
from preflamp_backend.training.evaluation_log import EvaluationLog


class RewardCallback(TrainerCallback):
    """Writes what a reward model in training says of each example, and what that is worth.

    ``trainer.add_callback(RewardCallback(trainer, log))``. At each evaluation the rewards of all
    candidates go into the file of ``log``, and ``eval_rm_accuracy``, its limits over users
    (``_low``, ``_high``) and, with ``base``, those of ``eval_policy_accuracy`` and ``eval_rouge1``
    to the trainer's log and its metrics, so that ``metric_for_best_model`` can name them.

    Parameters
    ----------
    trainer : transformers.Trainer
        Such as TRL's ``RewardTrainer``; its model has one label and a linear head ``score``.
    log : EvaluationLog
    base : LanguageModel or ModelSource, optional
        The model that is to be guided. Policy accuracy and generations need it.
    decoding : DecodingOptions, optional
        How ``base`` writes, guided by the reward model as it then is, an answer to each prompt.
        Left out, nothing is written. It takes the model's size on the disk for a while.
    chat : bool
        Prompts and responses are turns of the tokenizer's chat template, as TRL reads
        conversations.
    batch_tokens : int
        Tokens a batch, padding included.

    Raises
    ------
    InputError
        For ``decoding`` without ``base``, weights that are spread over processes, or a model with
        another head.
    """

    def __init__(
        self,
        trainer: Any,
        log: EvaluationLog,
        *,
        base: LanguageModel | ModelSource | None = None,
        decoding: DecodingOptions | None = None,
        chat: bool = False,
        batch_tokens: int = 8192,
    ) -> None:
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            what = "spreads its weights over processes, and no process can score alone"
            raise fault(what, "write rewards with EvaluationLog in a loop of your own")
        if decoding and base is None:
            raise fault("needs the model that is guided", "give base", variable="decoding")
        self.trainer, self.log, self.decoding = trainer, log, decoding
        self.base = load_language_model(base) if isinstance(base, ModelSource) else base
        self.chat, self.batch_tokens, self.done = chat, batch_tokens, -1
        _head(trainer.model)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave out steps that a training which goes on from a checkpoint makes anew."""
        self.log.forget_after(state.global_step)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Score, write, and tell the trainer."""
        # A trainer with several evaluation sets comes here once for each.
        if not state.is_world_process_zero or state.global_step == self.done:
            return
        self.done = state.global_step
        model, tokenizer = self.trainer.model, self.trainer.processing_class
        rows = self.log.examples
        form = PromptFormat(chat=self.chat, suffix=read_after(tokenizer, chat=self.chat))
        if self.base is not None and "logprob" not in self.log.shared:
            self.log.set_logprob(_logprobs(self.base, rows, form, self.batch_tokens))
        found = classifier_rewards(
            model, tokenizer, rows, chat=self.chat, batch_tokens=self.batch_tokens
        )
        texts = self._write(form) if self.decoding else None
        said = self.log.add(state.global_step, found, generations=texts)
        told = {f"eval_{name}": value for name, value in said.items() if math.isfinite(value)}
        if metrics is not None:
            metrics.update(told)
        self.trainer.log(told)

    def _write(self, form: PromptFormat) -> list[str]:
        """Answers of the base model, guided by the reward model as it is."""
        assert self.base is not None
        assert self.decoding is not None
        model: Any = self.trainer.model
        if hasattr(model, "merge_and_unload"):
            model = copy.deepcopy(model).merge_and_unload()
        # By the road of a finished model, with its trial; attention is switched on a copy.
        with TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            self.trainer.processing_class.save_pretrained(folder)
            source = ModelSource(folder, device=str(model.device))
            reward = load_sequence_classifier(source, self.log.method)
        context, room = self.base.backbone.context, self.decoding.max_new_tokens
        requests = []
        for row in self.log.examples:
            with in_example(row.id):
                prompt = encode_prompt(
                    self.base.tokenizer, row.prompt, form, room=room, context=context
                )
            requests.append(Request(f"{row.id}\0{self.log.method}", prompt, row.user))
        found = decode(
            self.base, requests, self.decoding, seed=self.log.seed, reward=reward, form=form
        )
        return [each.text for each in found]


def classifier_rewards(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    chat: bool = False,
    batch_tokens: int = 8192,
) -> NDArray[np.float64]:
    """Rewards of all candidates by a sequence classifier, in any training loop.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        With one label. It is in evaluation mode meanwhile, and computes in the precision of its
        weights, outside a trainer's autocast.
    tokenizer : PreTrainedTokenizerBase
    examples : sequence of Example
    chat : bool
        As in :class:`RewardCallback`.
    batch_tokens : int

    Returns
    -------
    ndarray, (examples, candidates)
        Candidates in the order of :func:`~preflamp_backend.data.examples.candidate_names`; NaN
        where an example has none of a name.

    Raises
    ------
    InputError
        For another head than one linear ``score``, or an example that does not fit the memory.
    """
    head = _head(model)
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = candidate_names(examples)
    places = [
        (i, names.index(name), ids)
        for i, row in enumerate(examples)
        for name, ids in trainer_ids(tokenizer, row, chat=chat).items()
    ]
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def run(batch: list[tuple[int, int, list[int]]]) -> list[float]:
        rows = [torch.tensor(ids) for _, _, ids in batch]
        ids = pad_sequence(rows, batch_first=True, padding_value=padding).to(whole.device)
        sizes = torch.tensor([len(each) for each in rows], device=ids.device)
        slots = torch.arange(ids.shape[1], device=ids.device)
        mask = slots < sizes[:, None]
        states = whole.base_model(ids, attention_mask=mask.long(), use_cache=False)
        at = (slots * (ids != padding)).argmax(-1)
        read = states.last_hidden_state[torch.arange(len(rows), device=ids.device), at]
        rewards: list[float] = head(read)[:, 0].float().tolist()
        return rewards

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            found = in_batches(places, lambda place: len(place[2]), run, budget=batch_tokens)
    finally:
        model.train(training)
    rewards = np.full((len(examples), len(names)), np.nan)
    for (i, at, _), reward in zip(places, found, strict=True):
        rewards[i, at] = reward
    return rewards


def trainer_ids(
    tokenizer: PreTrainedTokenizerBase, row: Example, *, chat: bool = False
) -> dict[str, list[int]]:
    """Ids of each candidate with its prompt, as TRL's ``RewardTrainer`` makes them.

    Raises
    ------
    InputError
        If the tokenizer has no end token, or no chat template where one is asked for.
    """
    eos: Any = tokenizer.eos_token
    if eos is None or (chat and not tokenizer.chat_template):
        what = "has no chat template" if chat else "has no end-of-sequence token"
        raise fault(f"the tokenizer {what}", "set one, as for training", variable="tokenizer")
    found = {}
    for name, text in row.candidates.items():
        if chat:
            said = zip(("user", "assistant"), (row.prompt, text), strict=True)
            turns = [{"role": role, "content": content} for role, content in said]
            ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"]
        else:
            ids = tokenizer(row.prompt + text + ("" if text.endswith(eos) else eos))["input_ids"]
        found[name] = list(ids)
    return found


def read_after(
    tokenizer: PreTrainedTokenizerBase, *, chat: bool = False
) -> Literal["none", "eos", "turn"]:
    """Suffix of a study that reads a reward model where TRL trained it to be read.

    ``none`` where the end token is the padding token: the library passes over it.

    Raises
    ------
    InputError
        If the chat template ends a turn with padding tokens in part: no suffix reads there.
    """
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    if not chat:
        return "none" if padding == tokenizer.eos_token_id else "eos"
    turn = suffix_ids(tokenizer, PromptFormat(chat=True, suffix="turn"))
    if not turn or set(turn) == {padding}:
        return "none"
    if turn[-1] == padding:
        what = "ends a turn with its padding token, behind others"
        raise fault(f"the chat template {what}", "pad with another token", variable="tokenizer")
    return "turn"


def _head(model: Any) -> Any:
    head = getattr(model, "score", None)
    if head is None or getattr(model.config, "num_labels", None) != 1:
        what = "has no linear head named 'score' with one label"
        raise fault(what, "train an AutoModelForSequenceClassification", variable="model")
    return head


def _logprobs(
    base: LanguageModel, rows: Sequence[Example], form: PromptFormat, batch_tokens: int
) -> NDArray[np.float64]:
    """Log-probabilities of all candidates under the model that is guided."""
    names, encodings = candidate_names(rows), []
    for row in rows:
        with in_example(row.id):
            said = list(row.candidates.values())
            context = base.backbone.context
            encodings.append(encode(base.tokenizer, row.prompt, said, form, context=context))
    found = np.full((len(rows), len(names)), np.nan)
    for i, (row, scores) in enumerate(zip(rows, score(base, encodings), strict=True)):
        for name, (each, _) in zip(row.candidates, scores, strict=True):
            found[i, names.index(name)] = each.logprob
    return found
