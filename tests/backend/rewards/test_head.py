from __future__ import annotations

import json

import pytest
import torch
from preflamp_backend.files.tensors import read_tensors, write_tensors
from preflamp_backend.models.heads.head import HEADS, load_head, save_head
from preflamp_backend.models.heads.linear import LinearHead
from safetensors.torch import save_file

from preflamp_stats.errors import InputError


def head(users=("a", "")):
    torch.manual_seed(0)
    return LinearHead.of(torch.randn(len(users), 3), torch.randn(len(users)), users)


def test_a_linear_head_is_its_equation_for_each_user():
    one = head()
    hidden = torch.randn(2, 4, 3)
    user = one.for_users(one.rows_of(["a", "stranger"]))
    found = one(hidden, user, torch.zeros(2, 3))
    for row in range(2):
        expected = hidden[row] @ one.weight[row] + one.bias[row]
        torch.testing.assert_close(found[row], expected)


def test_a_saved_head_comes_back_frozen_and_equal(tmp_path):
    one = head()
    save_head(tmp_path / "deep" / "h.safetensors", one, {"seed": 3})
    back = load_head(tmp_path / "deep" / "h.safetensors")
    assert isinstance(back, LinearHead)
    assert back.users == ("a", "")
    torch.testing.assert_close(back.weight, one.weight.detach(), rtol=0, atol=0)
    assert not any(each.requires_grad for each in back.parameters())
    assert read_tensors(tmp_path / "deep" / "h.safetensors")[1]["seed"] == 3


def test_a_file_of_weight_and_bias_alone_is_linear(tmp_path):
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    save_file(tensors, tmp_path / "h.safetensors", metadata={"users": json.dumps(["u", ""])})
    assert load_head(tmp_path / "h.safetensors").users == ("u", "")


def test_a_user_without_a_row_is_named():
    with pytest.raises(InputError, match="no row for user 'b'; adapt it"):
        head(("a",)).rows_of(["a", "b"])


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"kind": "os.system"}, "of the kind 'os.system'; take one of .*linear"),
        ({"kind": "linear", "config": {"width": 4}}, "is no whole reward head.*size mismatch"),
        ({"kind": "linear", "config": {"depth": 4}}, "is no whole reward head.*'depth'"),
        ({"kind": "linear", "config": {"width": 3}, "users": ["a", "a"]}, "named twice"),
        ({"kind": "linear", "config": {"width": 3}, "users": "ab"}, "does not list its users"),
        ({"kind": ["linear"], "config": {"width": 3}}, "of the kind"),
        ({"kind": "linear", "config": [3]}, "is no whole reward head"),
    ],
)
def test_a_file_that_is_no_head_is_refused(tmp_path, about, message):
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    write_tensors(tmp_path / "h.safetensors", tensors, {"users": ["a", ""], **about})
    with pytest.raises(InputError, match=message):
        load_head(tmp_path / "h.safetensors")


def test_broken_files_and_numbers_are_named(tmp_path):
    path = tmp_path / "h.safetensors"
    with pytest.raises(InputError, match=r"h.safetensors: cannot be read"):
        load_head(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"h.safetensors: cannot be read"):
        load_head(path)
    bad = head()
    with torch.no_grad():
        bad.bias[0] = torch.nan
    save_head(path, bad)
    with pytest.raises(InputError, match="not finite in bias"):
        load_head(path)


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "h.safetensors"
    save_head(path, head())
    before = path.read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("preflamp_backend.files.tensors.save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save_head(path, head())
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["h.safetensors"]


def test_equal_heads_make_equal_files(tmp_path):
    for name in "ab":
        save_head(tmp_path / name, head(), {"seed": 3, "data": "d", "epochs": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_registered_kind_is_a_class_of_this_package():
    assert HEADS["linear"] is LinearHead
