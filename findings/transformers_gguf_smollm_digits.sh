#!/usr/bin/env bash
# transformers 5.23.0 with gguf 0.19.0, tokenizer of a GGUF file: a byte-pair file names the rule by
# which texts are cut before merges (tokenizer.ggml.pre). "qwen2" is followed; "smollm", which cuts
# between digits as "qwen2" does, is read without a warning as GPT-2 cuts, with digits together. The
# merge of "1" and "2" then applies where the model never saw it, and a text has other ids.
# Exits with another status than 0 where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'transformers==5.23.0' 'gguf==0.19.0' 'torch==2.13.0' 'accelerate==1.15.0' 'numpy==2.4.6' 2>/dev/null
cd "$folder"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - 2>/dev/null <<'PY'
from importlib.metadata import version

import numpy as np
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

print("transformers", version("transformers"), "gguf", version("gguf"))
tokens = [*sorted(ByteLevel.alphabet()), "12", "<end>"]
found = {}
for rule in ("qwen2", "smollm"):
    writer = GGUFWriter(f"{rule}.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(8)
    writer.add_block_count(1)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 1) + [3])
    writer.add_token_merges(["1 2"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found[rule] = AutoTokenizer.from_pretrained(".", gguf_file=f"{rule}.gguf").tokenize("12")
    print(rule, "|", "12 is cut into", found[rule])
if found != {"qwen2": ["1", "2"], "smollm": ["12"]}:
    raise SystemExit("changed: the rule smollm is followed, or qwen2 is not")
PY
