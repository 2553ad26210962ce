"""Tiny models on disk and in memory; nothing here is collected where torch is not installed.

They compute on the CPU, or where ``PREFLAMP_TEST_DEVICE`` says, such as ``cuda``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("torch") is None or find_spec("transformers") is None:
    collect_ignore_glob = ["*.py"]
else:
    from preflamp_backend.cli.data import data_group
    from preflamp_backend.cli.run import run_command
    from preflamp_backend.cli.train import train_command
    from preflamp_backend.cli.train_lm import train_lm_command
    from preflamp_backend.models.loading import (
        ModelSource,
        load_language_model,
        load_sequence_classifier,
    )
    from preflamp_backend.models.model import HeadReward, LanguageModel
    from tiny_models import ARCHITECTURES, DEVICE, save_model

    from preflamp_stats.cli.group import main

    # A checkout need not be installed for its tests: the entry points may not be known.
    for command in (data_group, run_command, train_command, train_lm_command):
        main.add_command(command)

    @pytest.fixture(scope="session")
    def model_folders(tmp_path_factory) -> dict[str, Path]:
        root = tmp_path_factory.mktemp("models")
        folders = {name: save_model(root / name, name, seed=1) for name in ARCHITECTURES}
        folders["rm"] = save_model(root / "rm", "qwen2", seed=2, classifier=True)
        folders["arm"] = save_model(root / "arm", "qwen2", seed=3)
        return folders

    @pytest.fixture(scope="session")
    def models(model_folders) -> dict[str, LanguageModel]:
        return {
            name: load_language_model(ModelSource(str(model_folders[name]), device=DEVICE))
            for name in (*ARCHITECTURES, "arm")
        }

    @pytest.fixture(scope="session", params=ARCHITECTURES)
    def model(request, models) -> LanguageModel:
        return models[request.param]

    @pytest.fixture(scope="session")
    def qwen(models) -> LanguageModel:
        return models["qwen2"]

    @pytest.fixture(scope="session")
    def classifier(model_folders) -> HeadReward:
        return load_sequence_classifier(ModelSource(str(model_folders["rm"]), device=DEVICE), "rm")
