#!/usr/bin/env bash
# trl 1.16.0, RewardTrainer: eval_accuracy, eval_margin and eval_mean_reward are means of the means of
# batches. Where the last batch is smaller its pairs weigh more, so the same model on the same pairs
# has other numbers under another per_device_eval_batch_size: five pairs, two of them right, have an
# accuracy of .4 in one batch and .625 in batches of four.
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


pairs = [("b c", "d"), ("e", "f g"), ("h", "i"), ("j b", "c"), ("d e f", "g")]
first = trainer(pairs, "<pad>")
logits = [
    first.model(torch.tensor([row[f"{name}_ids"]])).logits.item()
    for row in first.eval_dataset
    for name in ("chosen", "rejected")
]
right = [one > other for one, other in zip(logits[::2], logits[1::2])]
# The odd ones out go last, so that they are a batch of their own.
common = sum(right) * 2 > len(right)
pairs = [pair for _, pair in sorted(zip([each != common for each in right], pairs))]
found = {}
for size in (5, 4):
    found[size] = trainer(pairs, "<pad>", per_device_eval_batch_size=size).evaluate()
    print("batches of", size, [found[size][f"eval_{key}"] for key in ("accuracy", "margin")])
share = sum(right) / len(right)
print("share by hand:", share)
if abs(found[5]["eval_accuracy"] - share) > 1e-6 or abs(found[4]["eval_accuracy"] - share) < 0.05:
    raise SystemExit("changed: the accuracy does not depend on the size of batches")
PY
