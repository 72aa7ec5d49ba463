"""`graftwork features`: what stands in the file, and that nothing half-written stays."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core.cli.app import main

LITE0 = "bundled/tf_efficientnet_lite0"


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        pixels = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_pooled_features_and_the_names_of_the_files(pictures, tmp_path, capsys):
    out = tmp_path / "f.npz"
    assert main(["features", LITE0, str(pictures), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["shape"]) == (3, [1280])
    found = np.load(out)
    assert found["features"].shape == (3, 1280)
    assert found["features"].dtype == np.float32
    assert [name[-5:] for name in found["files"]] == ["a.png", "b.png", "c.png"]
    assert found["unreadable"].tolist() == [str(pictures / "broken.png")]
    assert "broken.png cannot be read" in found["reasons"][0]

    from core.evaluation.classifier import Classifier

    names = list(found["files"])
    scores = Classifier.open(LITE0).score([pictures / "a.png"]).probabilities[0]
    from core.evaluation.feature_export import open_model

    head = open_model(LITE0).module.get_submodule("classifier")
    logits = found["features"][0] @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert int(logits.argmax()) == int(scores.argmax())
    assert names == sorted(names)


def test_maps_and_inner_layers_go_into_an_npz(pictures, tmp_path, capsys):
    a = str(pictures / "a.png")
    assert main(["features", LITE0, a, "--out", str(tmp_path / "m.npz"), "--spatial"]) == 0
    assert np.load(tmp_path / "m.npz")["features"].shape == (1, 1280, 7, 7)
    assert (
        main(["features", LITE0, a, "--out", str(tmp_path / "b.npz"), "--layer", "blocks.2"]) == 0
    )
    assert np.load(tmp_path / "b.npz")["features"].shape == (1, 40, 28, 28)
    assert "40×28×28 numbers each" in capsys.readouterr().out
    assert main(["features", LITE0, a, "--out", str(tmp_path / "x.npz"), "--layer", "blocs"]) == 1
    assert "no layer “blocs”" in capsys.readouterr().err
    for option in (["--spatial"], ["--layer", "blocks"]):
        assert main(["features", LITE0, a, "--out", str(tmp_path / "x.csv"), *option]) == 1
        assert "one vector a picture" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.npz", "m.npz", "pictures"]


def test_a_csv_holds_the_same_numbers(pictures, tmp_path):
    npz, table = tmp_path / "f.npz", tmp_path / "f.csv"
    for out in (npz, table):
        assert main(["features", LITE0, str(pictures), "--out", str(out)]) == 0
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["file", "f0"]
    values = np.array([row[1:] for row in rows[1:]], dtype=np.float32)
    assert values == pytest.approx(np.load(npz)["features"], rel=1e-6, abs=1e-7)


def test_a_file_that_is_there_is_replaced_only_with_force(pictures, tmp_path, capsys):
    out = tmp_path / "f.npz"
    out.write_bytes(b"mine")
    command = ["features", LITE0, str(pictures / "a.png"), "--out", str(out)]
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert main([*command, "--force"]) == 0
    assert np.load(out)["features"].shape == (1, 1280)


def test_pictures_none_of_which_can_be_read_leave_no_file(pictures, tmp_path, capsys):
    broken = str(pictures / "broken.png")
    assert main(["features", LITE0, broken, "--out", str(tmp_path / "f.npz")]) == 1
    assert "None of the pictures could be read" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize("name", ["f.txt", "f", "no/f.npz"])
def test_a_bad_name_is_refused_before_anything_is_computed(pictures, tmp_path, capsys, name):
    assert main(["features", LITE0, str(pictures), "--out", str(tmp_path / name)]) == 1
    assert "Error:" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on file sizes as on Unix")
def test_a_disk_that_is_full_is_one_sentence_and_leaves_nothing(pictures, tmp_path):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000));"
        "from core.cli.app import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["features", LITE0, str(pictures / "a.png"), "--out", str(tmp_path / "f.npz")]
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "f.npz cannot be written: File too large" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]
