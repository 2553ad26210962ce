import json
import random

import pytest
import torch
from click.testing import CliRunner
from preflamp_backend.models.heads.head import load_head
from preflamp_backend.training_study.train_study import Trainer, read_training
from tiny_models import save_model

from preflamp_stats.cli import main
from preflamp_stats.errors import InputError

torch.set_num_threads(1)

STUDY = """
[data.titles]
path = "test.jsonl"
[models.small]
path = "small"
[methods.bt]
kind = "head"
path = "heads/{model}/bt.safetensors"
train = {model = "bradley-terry"}
[methods.lore]
kind = "head"
path = "heads/{model}/lore-{seed}.safetensors"
[methods.lore.train]
model = "lore"
rank = 2
epochs = 3
[methods.pal]
kind = "head"
path = "heads/{model}/pal.safetensors"
train = {model = "pal", variant = "b", dimension = 8, epochs = 2}
[methods.zero]
kind = "zero-shot"
[decoding]
max_new_tokens = 4
[run]
seeds = [0, 1]
[training]
data = "train.jsonl"
held_out = "validation.jsonl"
adapt = "adapt.jsonl"
"""

TOKENS = """
[methods.genarm]
kind = "autoregressive"
path = "arms/{model}"
train = {model = "genarm", epochs = 1, batch_size = 32}
"""

WORDS = [
    "a",
    "theory",
    "of",
    "reward",
    "models",
    "graph",
    "cat",
    "moon",
    "deep",
    "learning",
    "survey",
    "plant",
]


def lines(count: int, users: str, seed: int) -> list[dict[str, str]]:
    draw = random.Random(seed)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=4))

    return [
        {"user": user, "prompt": f"Title: {text()}", "chosen": text(), "rejected": text() + " x"}
        for user in draw.choices(users, k=count)
    ]


def write(folder, name, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("base") / "small", "qwen2", seed=1)


@pytest.fixture
def study(tmp_path, model_folder):
    (tmp_path / "small").symlink_to(model_folder)
    write(tmp_path, "train.jsonl", lines(30, "abc", 1))
    write(tmp_path, "validation.jsonl", lines(12, "abc", 2))
    write(tmp_path, "adapt.jsonl", lines(6, "xy", 3))
    write(tmp_path, "test.jsonl", lines(4, "ax", 4))
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


def trained(study):
    return Trainer(read_training(study)).run()


def test_trains_what_is_missing_and_no_more(study):
    jobs = trained(study)
    assert [(job.method, job.seed) for job in jobs] == [
        ("bt", 0),
        ("lore", 0),
        ("lore", 1),
        ("pal", 0),
    ]
    assert trained(study) == []
    head = load_head(study.parent / "heads/small/lore-1.safetensors")
    assert head.users == ("", "a", "b", "c", "x", "y")
    jobs[1].path.unlink()
    assert [(job.method, job.seed) for job in trained(study)] == [("lore", 0)]
    study.write_text(STUDY.replace("rank = 2", "rank = 3"))
    assert [job.method for job in trained(study)] == ["lore", "lore"]
    write(study.parent, "adapt.jsonl", lines(6, "xz", 5))
    assert len(trained(study)) == 4


def test_twice_it_writes_the_same_bytes(study):
    first = {job.path: job.path.read_bytes() for job in trained(study)}
    for path in first:
        path.unlink()
    assert {job.path: job.path.read_bytes() for job in trained(study)} == first


def test_features_are_read_once_for_all_methods_and_seeds(study):
    trained(study)
    assert len(list((study.parent / "features").iterdir())) == 3


def test_held_out_pairs_are_split_off_where_none_are_named(study):
    study.write_text(STUDY.replace('held_out = "validation.jsonl"', "held_out_share = 0.2"))
    trainer = Trainer(read_training(study))
    users = [example.user for example in trainer.work.train + trainer.work.held_out]
    assert len(users) == 30
    assert {example.user for example in trainer.work.train} == set("abc")
    assert len(trainer.work.held_out) == sum(int(0.2 * users.count(user)) for user in "abc")


def test_odd_data_is_left_out_and_told(study):
    rows = lines(30, "abc", 1)
    rows += [rows[0], {**rows[1], "chosen": "same", "rejected": "same"}]
    write(study.parent, "train.jsonl", rows)
    write(study.parent, "validation.jsonl", lines(6, "bq", 2))
    write(study.parent, "adapt.jsonl", lines(8, "ax", 3))
    trainer = Trainer(read_training(study))
    assert len(trainer.work.train) == 30
    assert {example.user for example in trainer.work.adapt} == {"x"}
    assert trainer.work.notes == [
        "train.jsonl: 1 pair with two equal responses left out",
        "train.jsonl: 1 repeated pair left out",
        "validation.jsonl: 1 users who are not trained on; stopping early looks at them by the "
        "row of everybody",
        "adapt.jsonl: 1 users who are trained on already left out",
    ]


def test_a_user_with_one_pair(study):
    write(study.parent, "train.jsonl", [*lines(20, "ab", 1), *lines(1, "c", 2)])
    trained(study)
    assert "c" in load_head(study.parent / "heads/small/lore-0.safetensors").users


def test_every_fault_is_named_before_anything_runs(study):
    wrong = STUDY.replace('kind = "zero-shot"', 'kind = "zero"')
    wrong = wrong.replace("rank = 2", 'rnak = 2\npenalty = "much"')
    wrong = wrong.replace('model = "pal"', 'model = "pla"')
    wrong = wrong.replace('"adapt.jsonl"', '"adapted.jsonl"').replace("held_out =", "heldout =")
    study.write_text(wrong)
    with pytest.raises(InputError) as error:
        read_training(study)
    named = {problem.variable: problem.mend for problem in error.value.problems}
    assert named["methods.zero.kind"].startswith("choose one of")
    assert named["methods.lore.train.rnak"] == "did you mean rank?"
    assert named["methods.lore.train.penalty"] == "give a float"
    assert "pal, pref, vpl" in named["methods.pal.train.model"]
    assert named["training.heldout"] == "did you mean held_out?"


def test_files_kinds_and_values_are_checked(study):
    wrong = STUDY.replace('"adapt.jsonl"', '"adapted.jsonl"').replace("rank = 2", "rank = 0")
    wrong = wrong.replace('train = {model = "pal", variant = "b"', 'train = {model = "genarm"')
    study.write_text(wrong + "held_out_share = 1.5\nseeds = [1, 1]\n")
    with pytest.raises(InputError) as error:
        read_training(study)
    named = {problem.variable for problem in error.value.problems}
    assert {
        "methods.lore.train.rank",
        "methods.pal.kind",
        "methods.pal.train.dimension",
        "training.seeds",
        "training.held_out_share",
    } <= named
    study.write_text(wrong.replace("rank = 0", "rank = 2"))
    with pytest.raises(InputError, match=r"training.adapt: names adapted.jsonl, which is no file"):
        read_training(study)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[training]", "[elsewhere]", "training: is missing"),
        ("lore-{seed}", "bt", "is where bt under small is written too"),
        ("lore-{seed}", "x" * 300, "cannot be a place for a file"),
    ],
)
def test_what_a_study_must_say(study, old, new, said):
    study.write_text(STUDY.replace(old, new))
    with pytest.raises(InputError, match=said):
        Trainer(read_training(study)).jobs  # noqa: B018


def test_command(study):
    runner = CliRunner()
    shown = runner.invoke(main, ["train", str(study), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "30 pairs of 3 users, 12 held out, 6 of 2 new users" in shown.output
    assert not (study.parent / "heads").exists()
    done = runner.invoke(main, ["train", str(study)])
    assert done.exit_code == 0, done.output
    assert done.stdout.count("written to") == 4
    again = runner.invoke(main, ["train", str(study)])
    assert "4 of 4 are trained" in again.output
    study.write_text(STUDY.replace("rank = 2", "rank = 0"))
    bad = runner.invoke(main, ["train", str(study)])
    assert bad.exit_code == 2
    assert "methods.lore.train.rank: is 0; take at least 1" in bad.output


def test_an_interrupted_training_says_in_a_line_that_it_can_go_on(study, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "run", interrupted)
    result = CliRunner().invoke(main, ["train", str(study)])
    assert result.exit_code == 130
    assert result.stderr == "preflamp-stats: stopped; run again to go on\n"


def test_what_was_trained_is_what_run_uses(study):
    runner = CliRunner()
    assert runner.invoke(main, ["train", str(study)]).exit_code == 0
    out = study.parent / "results.nc"
    result = runner.invoke(main, ["run", str(study), "-o", str(out)])
    assert result.exit_code == 0, result.output
    described = runner.invoke(main, ["describe", str(out)])
    assert "lore" in described.output


def test_reward_models_that_are_language_models(study):
    study.write_text(STUDY.replace("[decoding]", TOKENS + "[decoding]"))
    assert "genarm" in [job.method for job in trained(study)]
    assert (study.parent / "arms" / "small" / "model.safetensors").is_file()
    assert trained(study) == []
