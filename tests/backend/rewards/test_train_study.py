import json
import random
import re
import shutil

import pytest
import torch
from click.testing import CliRunner
from preflamp_backend.files.tensors import read_tensors
from preflamp_backend.models.heads.head import load_head, save_head
from preflamp_backend.runs.run import prepare
from preflamp_backend.study.study import read_study
from preflamp_backend.training.user_rows import predicted
from preflamp_backend.training_study.train_study import Trainer, read_training
from tiny_models import make_tokenizer, save_model

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
    said = (
        r"^small: lore, seed 1: held-out log-loss (\d\.\d{4}), accuracy (\d+\.\d) % of 12 pairs; "
    )
    [(loss, accuracy)] = re.findall(said, done.stdout, re.MULTILINE)
    path = study.parent / "heads/small/lore-1.safetensors"
    kept = read_tensors(path)[1]["held_out"]
    assert f"{kept['loss']:.4f}" == loss
    # The same from the head and the features themselves.
    trainer = Trainer(read_training(study))
    source, form = trainer.plan.study.models["small"], trainer.plan.study.prompt
    features = trainer._whole.read(source, trainer.work.held_out, form, None)
    gaps = predicted(load_head(path), features)
    assert float(accuracy) == pytest.approx(100 * (gaps > 0).double().mean().item(), abs=0.05)
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


def test_a_dry_run_needs_no_reward_model_and_says_what_to_train(study):
    study.write_text(STUDY.replace("[decoding]", TOKENS + "[decoding]"))
    runner, out = CliRunner(), str(study.parent / "r.nc")
    dry = runner.invoke(main, ["run", str(study), "-o", out, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    said = " ".join(dry.output.split())
    assert "not trained yet: bt under small, lore under small, pal under small, genarm" in said
    assert "preflamp-stats train" in said
    real = runner.invoke(main, ["run", str(study), "-o", out])
    assert real.exit_code == 2
    said = " ".join(real.output.split())
    assert "lore-1.safetensors, which is not trained yet; train it first: preflamp-stats" in said
    assert "arms/small, which is not trained yet" in said
    # What no training makes is missed by a dry run too.
    study.write_text(STUDY.replace('train = {model = "bradley-terry"}', ""))
    bad = runner.invoke(main, ["run", str(study), "-o", out, "--dry-run"])
    assert bad.exit_code == 2
    assert "bt.safetensors, which is no file" in " ".join(bad.output.split())


CHANGES = {
    "suffix": ("[decoding]", '[prompt]\nsuffix = "eos"\n[decoding]', "suffix = 'none'"),
    "template": ("[decoding]", '[prompt]\ntemplate = "Q: {prompt}"\n[decoding]', "template = "),
    "chat": ("[decoding]", "[prompt]\nchat = true\n[decoding]", "chat = False \\(here True"),
    "boundary": ("[decoding]", '[prompt]\nboundary = "joint"\n[decoding]', "boundary = 'split'"),
    "count_eos": ("[decoding]", "[prompt]\ncount_eos = true\n[decoding]", "count_eos = False"),
    "dtype": ('path = "small"', 'path = "small"\ndtype = "bfloat16"', "dtype = 'float32'"),
    "base": ('path = "small"', 'path = "retrained"', "another base model"),
    "tokenizer": ('path = "small"', 'path = "begun"', "bos = '' .*another tokenizer"),
}


@pytest.fixture(scope="module")
def kept_study(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("kept")
    (folder / "small").symlink_to(model_folder)
    save_model(folder / "retrained", "qwen2", seed=9)
    shutil.copytree(model_folder, folder / "begun")
    make_tokenizer(bos=True).save_pretrained(folder / "begun")
    for name, count, seed in (("train", 30, 1), ("validation", 12, 2), ("test", 4, 4)):
        write(folder, f"{name}.jsonl", lines(count, "abc", seed))
    text = STUDY.replace('adapt = "adapt.jsonl"\n', "").replace("[decoding]", TOKENS + "[decoding]")
    (folder / "study.toml").write_text(text)
    trained(folder / "study.toml")
    return folder / "study.toml"


@pytest.mark.parametrize("change", CHANGES)
def test_a_head_is_used_as_it_was_trained_or_refused(kept_study, change):
    text = kept_study.read_text()
    as_it_was = prepare(read_study(kept_study), kept_study.parent / "r.nc")
    assert as_it_was.notes == []
    old, new, said = CHANGES[change]
    other = kept_study.with_name(f"{change}.toml")
    other.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said) as error:
        prepare(read_study(other), kept_study.parent / "r.nc")
    named = {problem.file.rpartition("/")[2] for problem in error.value.problems}
    heads = {"bt.safetensors", "lore-0.safetensors", "lore-1.safetensors", "pal.safetensors"}
    # GenARM has weights of its own, and reads nothing after a response.
    own = set() if change in ("base", "dtype", "suffix") else {"reward_training.json"}
    assert named == heads | own


def test_a_head_that_does_not_say_how_it_was_trained_is_told(kept_study, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(kept_study.parent, folder)
    path = folder / "heads/small/bt.safetensors"
    save_head(path, load_head(path))
    planned = prepare(read_study(folder / "study.toml"), folder / "r.nc")
    assert planned.notes == [f"{path} does not say how it was trained, and is read as it is"]


def test_a_head_has_no_form_of_its_own(study):
    study.write_text(STUDY.replace('train = {model = "b', 'suffix = "eos"\ntrain = {model = "b'))
    with pytest.raises(InputError, match=r"methods.bt.suffix: is not known here"):
        read_training(study)


def test_reward_models_that_are_language_models(study):
    study.write_text(STUDY.replace("[decoding]", TOKENS + "[decoding]"))
    jobs = trained(study)
    assert "genarm" in [job.method for job in jobs]
    assert set(jobs[0].held_out) == {"loss", "accuracy", "pairs"}
    assert (study.parent / "arms" / "small" / "model.safetensors").is_file()
    assert trained(study) == []
