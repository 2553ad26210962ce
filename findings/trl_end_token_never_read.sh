#!/usr/bin/env bash
# trl 1.16.0, RewardTrainer appends the end token to prompt and response, and pads with it where a
# tokenizer has no padding token. The classifier of transformers reads the reward at the last token
# that is not the padding token: then never at the end token that was appended for it, but one
# before. Setting another padding token moves where every reward is read, without a word.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'trl==1.16.0' 'transformers==5.24.0' 'torch==2.14.1' 'numpy==2.4.6' 2>/dev/null
"$folder/venv/bin/python" -W ignore - 2>/dev/null <<'PY'
import tempfile

import datasets
import torch
import transformers
import trl
from tokenizers import Tokenizer, models, pre_tokenizers

print("trl", trl.__version__, "transformers", transformers.__version__)
words = ["<pad>", "<eos>", *"abcdefghij"]
raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
config = transformers.LlamaConfig(vocab_size=12, num_labels=1, **shape, **heads)


def trainer(pairs, padding, **options):
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>")
    tokenizer.pad_token = padding
    rows = [{"prompt": "a ", "chosen": one, "rejected": other} for one, other in pairs]
    data = datasets.Dataset.from_list(rows)
    how = trl.RewardConfig(tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to=[], **options)
    return trl.RewardTrainer(model, how, None, data, data, processing_class=tokenizer)


read = {}
for padding in (None, "<pad>"):
    own = trainer([("b c", "d e f")], padding)
    ids = own.eval_dataset[0]["chosen_ids"]
    with torch.no_grad():
        states = own.model.model(torch.tensor([ids])).last_hidden_state
        rewards = own.model.score(states)[0, :, 0]
        reward = own.model(torch.tensor([ids])).logits.item()
    name = own.processing_class.pad_token
    read[name] = words[ids[(rewards - reward).abs().argmin().item()]]
    print("ids", [words[each] for each in ids], "| padding", name, "| read at", read[name])
if read != {"<eos>": "c", "<pad>": "<eos>"}:
    raise SystemExit("changed: the reward is read elsewhere")
PY
