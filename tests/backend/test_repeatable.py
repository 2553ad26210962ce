"""What can be seen of repeatable training without a GPU: torch is told, and told back."""

import os

import pytest
import torch
from preflamp_backend.models.repeatable import ask_for_repeatable_products, repeatable


def test_on_a_gpu_torch_is_asked_for_one_order_and_gets_its_freedom_back(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)

    def stopped():
        with repeatable(torch.device("cuda")):
            assert torch.are_deterministic_algorithms_enabled()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not torch.are_deterministic_algorithms_enabled()


def test_on_a_cpu_nothing_is_changed():
    with repeatable(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_choice_of_the_environment_stands(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    ask_for_repeatable_products()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    ask_for_repeatable_products()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
