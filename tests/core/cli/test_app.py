"""The command line: JSON on stdout, messages on stderr, exit codes, one sentence for bad input."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli.app import is_command, main
from core.data.sources.samples import digits
from helpers import REPOSITORY, TINY


@pytest.fixture
def folder(tmp_path, make_image_folder):
    return make_image_folder(tmp_path / "shapes", per_class=5)


def ask(capsys, *arguments: object):
    """Exit code, JSON document, and what was said on stderr."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, " ".join(captured.err.split())


def test_the_whole_road_on_the_command_line(folder, tmp_path, capsys):
    code, found, _ = ask(capsys, "scan", folder, "--json")
    assert code == 0
    assert found["classes"] == {"circle": 10, "square": 10, "triangle": 10}
    assert found["splits"] == {"train": 15, "val": 15}
    assert found["images"] == 30

    run = tmp_path / "my run"
    code, trained, _ = ask(capsys, "train", folder, "--out", run, "--set", "seed=3", "--json")
    assert code == 0
    assert trained["run"] == str(run)
    assert trained["strategy"] == "feature-extraction"
    assert trained["model"] == "bundled/tf_efficientnet_lite0"
    assert trained["status"] == "done"
    assert trained["val_accuracy"] >= 0.8
    assert trained["seconds"] > 0
    assert "seed = 3" in (run / "recipe.toml").read_text()

    code, report, _ = ask(capsys, "evaluate", run, "--json")
    assert code == 0
    assert report["top1"] == trained["val_accuracy"]
    assert report["n"] == sum(map(sum, report["confusion"])) == 15
    assert set(report) >= {"split", "interval", "balanced_accuracy", "macro_f1", "ece", "per_class"}

    table = tmp_path / "answers.csv"
    code, answers, _ = ask(
        capsys, "classify", run, folder / "val" / "circle", "--top", 2, "--csv", table, "--json"
    )
    assert code == 0
    assert len(answers["results"]) == 5
    first = answers["results"][0]
    assert first["top"][0]["label"] == "circle"
    assert (first["error"], first["unlike_training"]) == (None, first["unlike_training"])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label1"] for row in rows] == [
        answer["top"][0]["label"] for answer in answers["results"]
    ]


def test_the_scan_of_a_messy_folder_has_each_file_in_its_place(shared_data, capsys):
    with (shared_data / "messy_ants_bees.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    code, found, _ = ask(capsys, "scan", shared_data / "messy_ants_bees", "--json")
    assert code == 0
    broken = {file for file, answer in expected.items() if answer == "broken"}
    assert {problem["file"] for problem in found["problems"]} == broken
    assert all(problem["reason"] for problem in found["problems"])
    assert set(found["ignored_files"]) == {
        f for f, answer in expected.items() if answer == "ignore"
    }
    copies = {file for file, answer in expected.items() if answer == "duplicate"}
    assert {file for group in found["duplicates"] for file in group} == copies | {"ants/019.jpg"}
    good = [file for file, answer in expected.items() if answer in ("ok", "duplicate")]
    assert found["images"] == len(good)


def test_runs_lists_what_was_trained(folder, capsys):
    assert ask(capsys, "runs", "--json")[1] == {"runs": []}
    _, trained, _ = ask(capsys, "train", folder, "--json")
    _, listed, _ = ask(capsys, "runs", "--json")
    assert [run["run"] for run in listed["runs"]] == [trained["run"]]
    assert listed["runs"][0]["val_accuracy"] == trained["val_accuracy"]
    code, answers, _ = ask(
        capsys, "classify", listed["runs"][0]["name"], folder / "val" / "square", "--json"
    )
    assert code == 0
    assert answers["results"][0]["top"][0]["label"] == "square"


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_the_sample_trains_well_offline(capsys, every):
    for number, path in enumerate(sorted(digits().rglob("*.png"))):
        if number % every:  # a sixth of the digits goes the same way in a sixth of the time
            path.unlink()
    code, trained, _ = ask(capsys, "train", "--sample", "digits", "--json")
    assert code == 0
    assert trained["val_accuracy"] > 0.9


def test_advice_has_rules_reasons_evidence_and_an_estimate(folder, capsys):
    code, advice, _ = ask(capsys, "advise", folder, "--json")
    assert code == 0
    assert advice["strategy"] == "feature-extraction"
    assert isinstance(advice["augmentation"], bool)
    assert advice["domain"] in ("similar", "somewhat")
    assert sum(row["decided"] for row in advice["rules"]) == 1
    low, high = advice["estimate"]["interval"]
    assert low <= advice["estimate"]["accuracy"] <= high
    assert advice["estimate"]["seconds"] > 0
    assert advice["recipe"]["model"] == "bundled/tf_efficientnet_lite0"
    _, said, _ = ask(capsys, "advise", folder, "--domain", "different", "--budget", "1h", "--json")
    assert said["domain"] == "different"
    assert said["augmentation"] is True


def test_models_and_layers_speak_json(capsys):
    code, found, _ = ask(capsys, "models", "lite0", "--source", "bundled", "--offline", "--json")
    assert code == 0
    (card,) = found["models"]
    assert card["id"] == "bundled/tf_efficientnet_lite0"
    assert (card["num_classes"], card["input_size"]) == (1000, [224, 224])
    code, tree, _ = ask(capsys, "layers", "torchvision/resnet50", "--classes", 10, "--json")
    assert code == 0
    assert (tree["trainable_params"], tree["params"]) == (20_490, 23_528_522)


def test_names_to_copy_are_not_cut_in_a_pipe_and_the_version_is_said(folder, capsys):
    _, trained, _ = ask(capsys, "train", folder, "--json")
    assert main(["runs"]) == 0
    assert Path(trained["run"]).name in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("graftwork ")


def test_tables_for_people_are_printed_without_json(folder, capsys):
    for arguments in (["scan", folder], ["models", "resnet50"], ["layers", "resnet18"], ["runs"]):
        assert main([str(a) for a in arguments]) == 0
    assert "circle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "{absent}"], "absent"),
        (["train", "{empty}"], "empty"),
        (["train", "{one}"], "one"),
        (["train", "{file}"], "file.txt"),
        (["train", "{folder}", "--model", "resnet5000"], "resnet5000"),
        (["train", "{folder}", "--strategy", "magic"], "magic"),
        (["train", "{folder}", "--set", "epochz=3"], "epochz"),
        (["train", "{folder}", "--set", "max_epochs=0"], "max_epochs"),
        (["train", "{folder}", "--recipe", "{absent}"], "absent"),
        (["train", "{folder}", "--out", "{empty}"], "exists already"),
        (["classify", "{absent}", "{file}"], "absent"),
        (["classify", "bundled/tf_efficientnet_lite0", "{file}"], "could be read"),
        (["classify", "bundled/tf_efficientnet_lite0", "{absent}"], "absent"),
        (["evaluate", "no-such-run"], "no-such-run"),
        (["advise", "{folder}", "--budget", "soon"], "soon"),
        (["layers", "resnet5000"], "resnet5000"),
    ],
)
def test_bad_input_is_one_sentence_with_the_value_and_exit_code_1(
    arguments, said, folder, tmp_path, make_image_folder, capsys
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("no picture")
    make_image_folder(tmp_path / "one", classes=("only",), per_class=3)
    places = {
        "folder": folder,
        "absent": tmp_path / "absent",
        "empty": tmp_path / "empty",
        "one": tmp_path / "one",
        "file": tmp_path / "file.txt",
    }
    code = main([argument.format(**places) for argument in arguments])
    captured = capsys.readouterr()
    err = captured.err.replace("\n", " ")
    assert code == 1
    assert said in err
    assert "Error:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "x", "--sample", "digits"],
        ["train", "--sample", "none"],
        ["scan", "x", "--no-such-option"],
        ["nonsense"],
        ["classify"],
        ["advise", "x", "--domain", "mars"],
        ["train", "x", "--set", "max_epochs"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    assert main(arguments) == 2


def test_a_path_that_is_no_command_opens_the_window(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "train").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_command("photos")
    assert not is_command(str(tmp_path))
    assert is_command("train")
    assert is_command("--help")
    assert is_command("no-such-thing")


def test_the_doctor_examines_this_machine(capsys):
    code, found, _ = ask(capsys, "doctor", "--json")
    names = [check["name"] for check in found["checks"]]
    assert {"libraries", "compute", "weights", "window", "runs folder"} <= set(names)
    assert code == (1 if any(c["status"] == "problem" for c in found["checks"]) else 0)
    weights = next(c for c in found["checks"] if c["name"] == "weights")
    assert weights["status"] == "ok"


def test_a_pipe_with_a_code_page_of_its_own_takes_any_class_name(tmp_path, make_image_folder):
    folder = make_image_folder(tmp_path / "множество", classes=("Привет", "蚂蚁"), per_class=3)
    for json_too in ([], ["--json"]):  # the table, and the document
        done = subprocess.run(
            [sys.executable, "main.py", "scan", str(folder), *json_too],
            cwd=REPOSITORY, capture_output=True, check=True,
            env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        )  # fmt: skip
    assert json.loads(done.stdout)["classes"] == {"Привет": 6, "蚂蚁": 6}


def test_stdout_is_one_json_document_in_a_process_of_its_own(folder, graftwork_home):
    """Warnings and progress of any library go to stderr, never into the document."""
    quick = ["--strategy", "scratch", "--model", TINY, "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, "main.py", "train", str(folder), *quick, "--json"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["status"] == "done"
    assert "epoch" in done.stderr
