"""What the command line says of models: search, presets, domains, comparison, the catalog."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from core.catalog import catalog
from core.cli.app import main
from core.compute import benchmark


def ask(capsys, *arguments: object):
    """Exit code, what was answered, and what was said on stderr."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, " ".join(captured.err.split())


def test_a_preset_and_a_filter_work_together(capsys):
    code, out, said = ask(capsys, "models", "--preset", "mobile", "--source", "timm", "--json")
    found = json.loads(out)["models"]
    assert code == 0
    assert "Mobile or edge" in said
    assert {card["source"] for card in found} == {"timm"}
    assert {card["family"] for card in found} == {"MobileNetV3"}
    macs = [card["macs"] for card in found]
    assert macs == sorted(macs)


def test_models_are_filtered_by_family_pretraining_and_size(capsys):
    _, out, _ = ask(
        capsys, "models", "--family", "convnext", "--pretraining", "laion", "--max-size", 256,
        "--classifies", "--json",
    )  # fmt: skip
    found = json.loads(out)["models"]
    assert found
    for card in found:
        assert card["family"] == "ConvNeXt"
        assert "LAION" in card["pretraining"]
        assert max(card["input_size"]) <= 256
        assert card["label_set"]
        assert card["accuracy_source"] or card["top1"] is None


def test_rows_are_printed_as_csv_and_as_markdown(capsys):
    _, out, _ = ask(capsys, "models", "resnet18", "--source", "torchvision", "--format", "csv")
    (row,) = csv.DictReader(out.splitlines())
    assert row["model"] == "torchvision/resnet18.IMAGENET1K_V1"
    _, out, _ = ask(capsys, "models", "resnet18", "--source", "torchvision", "--format", "markdown")
    assert out.splitlines()[2].startswith("| torchvision/resnet18.IMAGENET1K_V1 | ResNet | 11.69 |")


def test_a_domain_lists_backbones_with_their_licence(capsys):
    code, out, _ = ask(capsys, "models", "--domain", "aerial")
    assert code == 0
    assert "timm/vit_large_patch16_dinov3.sat493m" in out
    assert "licence dinov3-license" in out
    _, out, _ = ask(capsys, "models", "--domain", "medical", "--json")
    assert all("medical" in backbone["domains"] for backbone in json.loads(out)["models"])


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (("models", "--family", "convnxt"), 1, "Similar names: ConvNeXt"),
        (("models", "--preset", "fast"), 1, "Presets: prototype"),
        (("models", "--domain", "stars"), 1, "Domains: medical"),
        (("models", "vit", "--domain", "medical"), 2, "no other filter"),
        (("models", "--sort", "beauty"), 1, "Columns: id"),
        (("compare", "resnet5O"), 1, "resnet50"),
        (("compare", "resnet18", "--image", "nowhere.jpg"), 1, "no picture nowhere.jpg"),
        (("compare", "bundled/tf_efficientnet_lite0", "--device", "abacus"), 1, "abacus"),
        (("catalog", "--tables", "."), 2, "belongs to --rebuild"),
        (("catalog", "--rebuild", "--tables", "nowhere"), 1, "results-imagenet.csv"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, code, wanted):
    found, out, said = ask(capsys, *arguments)
    assert (found, out) == (code, "")
    assert wanted in said.replace("│ ", "").replace(" │", "")


@pytest.fixture
def few_passes(monkeypatch) -> None:
    monkeypatch.setattr(benchmark, "_PASSES", 5)


def test_models_are_compared_by_figures_and_by_what_they_see(tmp_path: Path, capsys, few_passes):
    picture = tmp_path / "grey.png"
    Image.new("RGB", (64, 64), (120, 120, 120)).save(picture)
    names = ("bundled/tf_efficientnet_lite0", "timm/test_resnet.r160_in1k")
    code, out, _ = ask(capsys, "compare", *names, "--image", picture, "--device", "cpu", "--json")
    first, second = json.loads(out)["models"]
    assert code == 0
    assert (first["id"], second["id"]) == names
    assert first["latency"]["low_ms"] <= first["latency_ms"] <= first["latency"]["high_ms"]
    assert len(first["top"]) == 5
    assert (second["top"], second["weights_here"]) == ([], False)
    _, out, _ = ask(capsys, "models", "test_resnet.r160", "--json")
    (known,) = json.loads(out)["models"]
    assert known["latency_ms"] == second["latency_ms"]


def test_the_comparison_reads_well_in_a_terminal(capsys, few_passes):
    code, out, _ = ask(capsys, "compare", "timm/test_resnet.r160_in1k", "--device", "cpu")
    assert code == 0
    assert "ms, median" in out
    assert "Latency of one image, batch 1" in out


def test_a_broken_picture_is_said_before_anything_is_measured(tmp_path: Path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    code, out, said = ask(capsys, "compare", "resnet18", "--image", broken)
    assert (code, out) == (1, "")
    assert "broken.jpg cannot be read" in said


def test_the_catalog_says_what_is_in_it_and_whether_it_is_older_than_the_libraries(
    capsys, monkeypatch
):
    # Of whatever versions are installed where the test runs, it must not depend.
    monkeypatch.setattr("core.cli.models._installed", catalog.load().made_with.get)
    code, out, _ = ask(capsys, "catalog", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["cards"] == sum(found["sources"].values()) == len(catalog.load().cards)
    assert found["is_up_to_date"]
    monkeypatch.setattr("core.cli.models._installed", lambda name: "99.0")
    _, out, _ = ask(capsys, "catalog")
    assert "timm 99.0 is installed" in out
    assert "--rebuild" in out


def test_words_that_fit_no_model_are_answered_with_the_nearest_names(capsys):
    code, out, said = ask(capsys, "models", "resnt18")
    assert code == 0
    assert out == ""
    assert "No model fits “resnt18”" in said
    assert "resnet18" in said
    _, out, said = ask(capsys, "models", "resnet18", "--max-params", 1, "--json")
    assert json.loads(out) == {"models": []}
    assert "No model fits these filters" in said


def test_models_that_were_added_are_listed_by_their_source(capsys, tmp_path):
    import timm
    import torch

    file = tmp_path / "mine.pth"
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), file)
    code, _, said = ask(capsys, "weights", "import", file)
    assert code == 0, said
    code, out, _ = ask(capsys, "models", "--source", "file", "--json")
    (card,) = json.loads(out)["models"]
    assert code == 0
    assert card["id"].startswith("file:")
    assert card["num_classes"] == 3


def test_layers_are_found_explained_and_copied(capsys):
    code, out, _ = ask(capsys, "layers", "resnet18", "--search", "layer4 conv2")
    assert code == 0
    assert "layer4.1.conv2" in out
    assert "layer3" not in out
    code, out, said = ask(capsys, "layers", "resnet18", "--search", "transformer")
    assert code != 0
    assert "No layer of torchvision/resnet18" in said
    _, out, _ = ask(capsys, "layers", "resnet18", "--explain")
    assert "BasicBlock × 2" in out
    assert "edges, colours" in out
    _, out, _ = ask(capsys, "layers", "resnet18", "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert rows[0]["layer"] == "conv1"
    assert rows[0]["parameters"] == "9408"
    assert rows[-1]["layer"] == "fc"
    _, out, _ = ask(capsys, "layers", "resnet18", "--format", "markdown", "--all")
    assert "| conv1 | Conv2d | 7×7, stride 2, padding 3 | 64×112×112 | 9,408 |" in out
    assert "11,689,512 of 11,689,512 parameters train" in out


def test_a_depthwise_convolution_is_explained_as_one(capsys):
    _, out, _ = ask(capsys, "layers", "torchvision/mobilenet_v2", "--search", "conv", "--explain")
    assert "each channel has a small filter of its own" in " ".join(out.split())
