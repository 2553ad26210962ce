import pytest
import torch
from preflamp_backend.models.heads.head import save_head
from preflamp_backend.models.repeatable import one_thread
from preflamp_backend.training import loop as training
from preflamp_backend.training.loop import TrainingOptions, train
from preflamp_backend.training.user_rows import mean_log_loss
from preflamp_backend.training_study.methods import fit
from reward_cases import SMALL
from simulated_users import simulate_users
from torch import nn

from preflamp_stats.errors import InputError


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def made():
    return simulate_users("types", users=5, pairs=12, test_pairs=5, width=5)


def head_bytes(head, path):
    save_head(path, head)
    return path.read_bytes()


@pytest.mark.parametrize("kind", SMALL)
def test_a_stopped_run_goes_on_to_the_same_bytes(kind, made, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)
    name, options = SMALL[kind]
    kept = tmp_path / "run.safetensors"
    whole = fit(name, made.train, made.held_out, options, seed=3)
    resumed = []

    def stop(epoch):
        if epoch.number == 2:
            raise Stopped

    with pytest.raises(Stopped):
        fit(name, made.train, made.held_out, options, seed=3, report=stop, checkpoint=kept)
    assert kept.exists()
    again = fit(
        name,
        made.train,
        made.held_out,
        options,
        seed=3,
        report=lambda epoch: resumed.append(epoch.number),
        checkpoint=kept,
    )
    assert resumed[0] == 3
    assert head_bytes(again, tmp_path / "a") == head_bytes(whole, tmp_path / "b")
    assert not kept.exists()


def test_a_checkpoint_of_another_run_is_not_taken_up(made, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)
    name, options = SMALL["vpl"]
    kept = tmp_path / "run.safetensors"

    def stop(epoch):
        raise Stopped

    with pytest.raises(Stopped):
        fit(name, made.train, made.held_out, options, seed=3, report=stop, checkpoint=kept)
    began = []
    other = fit(
        name,
        made.train,
        made.held_out,
        options,
        seed=4,
        report=lambda epoch: began.append(epoch.number),
        checkpoint=kept,
    )
    assert began[0] == 1
    fresh = fit(name, made.train, made.held_out, options, seed=4)
    assert head_bytes(other, tmp_path / "a") == head_bytes(fresh, tmp_path / "b")


@pytest.mark.parametrize("kind", SMALL)
def test_threads_change_no_byte_and_seeds_do(kind, made, tmp_path):
    name, options = SMALL[kind]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(fit(name, made.train, made.held_out, options, seed=1))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    one, two = (head_bytes(head, tmp_path / "head") for head in found)
    assert one == two
    if kind not in ("bradley-terry", "pref"):
        other = fit(name, made.train, made.held_out, options, seed=2)
        assert head_bytes(other, tmp_path / "head") != one


@pytest.mark.parametrize("kind", SMALL)
def test_what_is_kept_is_the_best_epoch(kind, made):
    name, options = SMALL[kind]
    epochs = []
    head = fit(name, made.train, made.held_out, options, report=epochs.append)
    assert mean_log_loss(head, made.held_out) == pytest.approx(epochs[-1].best, abs=1e-5)
    assert all(epoch.best <= epoch.held_out for epoch in epochs)


def test_patience_stops():
    module = nn.Linear(1, 1, bias=False)
    losses = iter([3.0, 2.0, 2.5, 2.5, 2.5, 1.0])
    seen = []
    train(
        module,
        lambda rows, generator, progress: module.weight.square().sum(),
        lambda: next(losses),
        4,
        TrainingOptions(patience=3, batch_size=2),
        seed=0,
        report=lambda epoch: seen.append((epoch.number, epoch.best)),
    )
    assert seen == [(1, 2.0), (2, 2.0), (3, 2.0), (4, 2.0)]


def test_training_that_helps_nobody_leaves_the_start():
    module = nn.Linear(1, 1, bias=False)
    start = module.weight.detach().clone()
    losses = iter(range(10))
    train(
        module,
        lambda rows, generator, progress: module.weight.square().sum(),
        lambda: float(next(losses)),
        4,
        TrainingOptions(patience=2),
        seed=0,
    )
    assert torch.equal(module.weight, start)


def test_users_are_spared_the_weight_decay():
    module = nn.ParameterDict({"user": torch.ones(2), "shared": torch.ones(2)})
    losses = iter([2.0, 1.0])
    train(
        module,
        lambda rows, generator, progress: 0.0 * (module["user"] + module["shared"]).sum(),
        lambda: next(losses),
        4,
        TrainingOptions(epochs=1, weight_decay=0.5, learning_rate=0.1),
        seed=0,
    )
    assert module["user"].tolist() == [1.0, 1.0]
    assert module["shared"].tolist() == pytest.approx([0.95, 0.95])


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_a_loss_that_is_no_number_is_an_error(optimizer):
    module = nn.Linear(1, 1, bias=False)
    with pytest.raises(InputError, match="not a finite number"):
        train(
            module,
            lambda rows, generator, progress: module.weight.sum() * float("nan"),
            lambda: 1.0,
            4,
            TrainingOptions(optimizer=optimizer),
            seed=0,
        )


def test_threads_come_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(Stopped), one_thread():
        raise Stopped
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("cut", [(4, 1), (1, 1, 3)])
def test_parts_of_a_batch_train_as_the_whole_batch(cut):
    rows = torch.randn(15, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def trained(parts):
        module = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(module.weight)
        training.train(
            module,
            lambda at, generator, progress: (module(rows[at])[:, 0] - rows[at, 0]).square().mean(),
            lambda: module(rows).square().mean().item(),
            len(rows),
            training.TrainingOptions(epochs=1, batch_size=5, learning_rate=0.1),
            seed=0,
            parts=parts,
            report=lambda epoch: seen.append(module.weight.detach().clone()),
        )

    seen: list[torch.Tensor] = []
    trained(None)
    trained(lambda at: at.split(cut))
    torch.testing.assert_close(seen[0], seen[1])
