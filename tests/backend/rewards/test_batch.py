from __future__ import annotations

import torch
from tiny_models import make_heads


def test_rows_that_go_on_keep_their_users_and_prompts(qwen):
    heads = make_heads(qwen, methods=4)
    torch.manual_seed(0)
    users, prompt, hidden = ["a", "b", "b", "a"], torch.randn(4, 32), torch.randn(4, 3, 32)
    batch = heads.for_users(users, prompt)
    whole = batch(hidden)
    assert whole.shape == (4, 3, 4)
    for column, (name, head) in enumerate(heads.heads.items()):
        alone = head(hidden, head.for_users(head.rows_of(users)), prompt)
        torch.testing.assert_close(whole[..., column], alone, msg=name)
    rows = torch.tensor([3, 1])
    batch.select(rows)
    torch.testing.assert_close(batch(hidden[rows]), whole[rows])


def test_order_of_methods_is_kept_where_kinds_alternate(qwen):
    heads = make_heads(qwen, methods=6)
    torch.manual_seed(1)
    hidden, prompt = torch.randn(1, 2, 32), torch.randn(1, 32)
    together = heads.for_users(["a"], prompt)(hidden)
    for column, name in enumerate(heads.methods):
        one = heads.only(name).for_users(["a"], prompt)(hidden)
        torch.testing.assert_close(together[..., column : column + 1], one)
