"""Files as models: the report, the list, training on one, and opening the run when it is gone."""

from __future__ import annotations

import json

import pytest
import timm
import torch
import torchvision
from torch import nn

from core.catalog import added
from core.catalog.card import ModelCard
from core.catalog.licences import licence_note
from core.cli.app import main
from core.errors import ModelError, WeightsError
from core.evaluation.classifier import Classifier
from core.models.build import build
from core.models.layers.tree import layer_tree
from core.models.resolve import add_file, resolve_model, with_added
from core.models.weights import weights
from core.models.weights.files import open_model_file, report_of
from core.system import paths

torch.manual_seed(0)


def saved(module: nn.Module, path):
    torch.save(module.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    return timm.create_model("test_resnet", num_classes=4).eval()


@pytest.mark.parametrize(
    "arch", ["resnet18", "mobilenet_v2", "squeezenet1_0", "shufflenet_v2_x0_5"]
)
def test_torchvision_files_give_the_same_logits(tmp_path, arch):
    module = torchvision.models.get_model(arch, num_classes=6).eval()
    card = add_file(saved(module, tmp_path / "x.pth"))
    assert (card.arch, card.num_classes, card.base.partition("/")[0]) == (arch, 6, "torchvision")
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(build(card).module(x), module(x), atol=1e-5)


@pytest.mark.parametrize("arch", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("wrap", ["bare", "wrapped"])
def test_timm_files_give_the_same_logits(tmp_path, arch, wrap):
    module = timm.create_model(arch, num_classes=6).eval()
    state = module.state_dict()
    if wrap == "wrapped":
        state = {"model": {f"module._orig_mod.{key}": value for key, value in state.items()}}
    torch.save(state, tmp_path / "x.pt")
    card = add_file(tmp_path / "x.pt")
    assert (card.arch, card.num_classes) == (arch, 6)
    x = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(build(card).module(x), module(x), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch",
    ["googlenet", "inception_v3", "regnet_y_400mf", "efficientnet_b0", "swin_t", "convnext_tiny",
     "densenet121", "mnasnet0_5", "vgg11", "alexnet", "maxvit_t", "vit_b_32"],
)  # fmt: skip
@pytest.mark.parametrize("classes", [9, 1000])
def test_more_torchvision_files_give_the_same_logits(tmp_path, arch, classes):
    kwargs = {"init_weights": False} if arch in ("googlenet", "inception_v3") else {}
    module = torchvision.models.get_model(arch, num_classes=classes, **kwargs).eval()
    if hasattr(module, "transform_input"):
        module.transform_input = True
    card = add_file(saved(module, tmp_path / "x.pth"))
    assert (card.arch, card.num_classes) == (arch, classes)
    x = torch.randn(1, 3, *card.input_size)
    with torch.no_grad():
        assert torch.allclose(build(card).module(x), module(x), atol=1e-4)


def test_a_backbone_without_its_classifier_is_taken_for_features_and_training(tmp_path, tiny):
    state = {k: v for k, v in tiny.state_dict().items() if not k.startswith("fc.")}
    torch.save(state, tmp_path / "body.pth")
    report = report_of(tmp_path / "body.pth")
    assert report.is_usable
    assert report.fits[0].classifier == "missing"
    card = add_file(tmp_path / "body.pth")
    assert (card.arch, card.num_classes) == ("test_resnet", 0)
    built = build(card, num_classes=7)
    assert built.module(torch.zeros(1, 3, 160, 160)).shape == (1, 7)
    kept = built.module.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in state.items())
    with pytest.raises(ModelError, match="no classifier"):
        Classifier.open(card.id)


def test_a_classifier_of_another_form_is_left_out_and_named(tmp_path):
    module = torchvision.models.resnet18()
    module.fc = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 4))
    report = report_of(saved(module, tmp_path / "x.pth"))
    assert report.is_usable
    assert report.fits[0].classifier == "replaced"
    assert "fc.0.weight" in report.sentences()[1]
    built = build(add_file(tmp_path / "x.pth"), num_classes=3)
    assert torch.equal(built.module.conv1.weight, module.conv1.weight)


def test_a_report_names_what_does_not_fit(tmp_path, tiny):
    state = dict(tiny.state_dict())
    first = next(iter(state))
    state["strange.weight"] = torch.zeros(3)
    removed = [key for key in state if key.endswith("weight")][3]
    del state[removed]
    state[first] = torch.zeros(2, 2)
    torch.save(state, tmp_path / "x.pth")
    report = report_of(tmp_path / "x.pth", arch="timm/test_resnet")
    (fit,) = report.fits
    assert not report.is_usable
    assert fit.missing == (removed,)
    assert fit.unexpected == ("strange.weight",)
    assert fit.other_shape[0][0] == first
    with pytest.raises(ModelError, match="not those of test_resnet"):
        add_file(tmp_path / "x.pth", arch="timm/test_resnet")
    assert added.cards() == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"\x80\x02garbage", "cannot be read as weights"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_weights_is_refused_in_a_sentence(tmp_path, content, said, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        add_file(path)
    with pytest.raises(WeightsError, match="is a folder"):
        report_of(tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_cut_off_file_is_refused_in_a_sentence(tmp_path, tiny, suffix):
    from safetensors.torch import save_file

    path = tmp_path / f"x{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(tiny.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        add_file(path)


def test_the_file_is_left_alone_and_the_card_outlives_it(tmp_path, tiny):
    path = saved(tiny, tmp_path / "net.pth")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    card = add_file(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert with_added().cards[-1] == card == resolve_model(f"file:{path}")
    assert weights.state_of(card).where == "imported"
    moved = path.rename(tmp_path / "elsewhere.pth")
    assert resolve_model(card.id) == card
    state = weights.state_of(card)
    assert (state.where, state.path, state.size_bytes) == ("none", path, None)
    with pytest.raises(WeightsError, match=r"no longer there.*It was at") as caught:
        build(card)
    assert str(path) in caught.value.hint
    assert layer_tree(card)  # the outline needs no weights
    moved.rename(path)
    build(card)
    path.write_bytes(saved(timm.create_model("test_vit"), moved).read_bytes())
    with pytest.raises(WeightsError, match="no longer what it was"):
        build(card)
    assert resolve_model(card.id).arch == "test_vit"


def test_a_list_that_cannot_be_read_is_set_aside(tmp_path, tiny):
    path = paths.data_dir() / "models.json"
    path.write_text("{broken", encoding="utf-8")
    assert added.cards() == ()
    add_file(saved(tiny, tmp_path / "net.pth"))
    assert len(added.cards()) == 1
    assert path.with_suffix(".damaged.json").read_text(encoding="utf-8") == "{broken"


def test_a_run_on_a_file_opens_again_when_the_file_is_gone(tmp_path, tiny, make_image_folder):
    path = saved(tiny, tmp_path / "net.pth")
    data = make_image_folder(tmp_path / "shapes", per_class=6)
    out = tmp_path / "run"
    options = ["--strategy", "feature-extraction", "--out", str(out)]
    assert main(["train", str(data), "--model", f"file:{path}", *options]) == 0
    path.unlink()
    assert len(Classifier.open(out).classes) == 3


def test_the_command_line_imports_lists_and_removes(tmp_path, tiny, capsys):
    path = saved(tiny, tmp_path / "net.pth")
    assert main(["weights", "import", str(path), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] is None
    assert main(["weights", "import", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == f"file:{path}"
    assert answer["fits"][0]["classifier"] == "whole"
    assert main(["weights", "list", "--json"]) == 0
    listed = {row["id"]: row for row in json.loads(capsys.readouterr().out)["weights"]}
    assert listed[f"file:{path}"]["size_bytes"] == path.stat().st_size
    assert listed["bundled/tf_efficientnet_lite0"]["where"] == "bundled"
    assert main(["weights", "where", f"file:{path}"]) == 0
    assert main(["layers", f"file:{path}", "--json"]) == 0
    assert main(["weights", "remove", f"file:{path}"]) == 0
    assert main(["weights", "remove", f"file:{path}"]) == 1
    assert path.is_file()


def test_only_certain_licences_are_spoken_of():
    def note(license: str) -> str:
        return licence_note(ModelCard("timm/x", "timm", "x", "", "", license=license))

    assert "non-commercial" in note("cc-by-nc-4.0")
    assert note("apache-2.0") == note("") == note("cvnets-license") == ""


def test_open_model_file_still_says_which_catalog_card_it_is(tmp_path, tiny):
    found = open_model_file(saved(tiny, tmp_path / "x.pth"))
    assert found.card.source == "timm"
    assert found.file_card.base == found.card.id
