"""From ticks to weights: a real run of a tiny model trains what the tree said and nothing else.

Only the download is replaced: the model's numbers are drawn with a seed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import torch
from PySide6.QtWidgets import QWidget
from safetensors.torch import load_file

from core.catalog import catalog
from core.data.sources.scan import scan
from core.models import build
from gui.base.session import Session
from gui.kit.notice_bar import NoticeBar
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.layers import jobs
from gui.layers.control import LayerControl
from gui.layers.view import LayerView
from gui.shell.commands import Commands
from helpers import TINY


def test_a_real_run_trains_what_is_ticked_and_leaves_the_rest_bit_for_bit(
    qtbot, qapp, make_image_folder, tmp_path: Path, tiny_weights
) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    look, session, runner = Theme(), Session(holder), JobRunner(holder)
    commands = Commands(session, runner, Settings(), holder)
    view = LayerView(look)
    qtbot.addWidget(view)
    control = LayerControl(view, session, commands.layers, NoticeBar(look, holder))
    dataset = scan(make_image_folder(tmp_path / "shapes", per_class={"train": 8, "val": 3}))
    session.end_scan(dataset)
    session.set_model(TINY)
    card = catalog.load().resolve(TINY)
    question = jobs.LayerQuestion(card, len(dataset.classes))
    view.show_layers(jobs.work_out_layers(question, None))

    by_path = {view.model.line(index).path: index for index in view.model.find("layer")}
    view.model.tick_wanted.emit(view.model.line(by_path["layer2"]), True)
    view.model.factor_wanted.emit(view.model.line(by_path["layer2.0.conv1"]), "0")
    assert view.plan is not None
    said = {n for g in view.plan.plan.groups if g.is_trained for n in g.parameters}
    quick = {"max_epochs": 500, "patience": 500, "batch_size": 8, "precision": "float32",
             "device": "cpu"}  # fmt: skip
    commands.train.start({**session.recipe_values, **quick, "model": session.model_id})
    qtbot.waitUntil(lambda: (session.live_run.epoch or 0) >= 3)
    commands.train.stop()  # a run that is stopped keeps what it trained, better or not
    qtbot.waitUntil(lambda: not session.live_run.is_on)
    result = session.live_run.result
    assert result is not None, session.live_run.error
    runner.shut_down()

    recipe = tomllib.loads((result.run / "recipe.toml").read_text(encoding="utf-8"))
    assert {key: recipe[key] for key in session.recipe_values} == session.recipe_values
    assert recipe["layer_rates"]["layer2.0.conv1"] == 0
    before = dict(build.pretrained_module(card).named_parameters())
    best = load_file(result.run / "checkpoints" / "best" / "model.safetensors")
    kept = torch.load(result.run / "checkpoints" / "last" / "state.pt", weights_only=True)
    names = {name for name in before if name[:2] != "fc"}
    for last in (kept["trainee"]["weights"], kept["trainee"]["mean"]):
        # Behind a prefix: the state holds the model and its head.
        prefix = next(key for key in last if key.endswith("layer1.0.conv1.weight"))
        prefix = prefix.removesuffix("layer1.0.conv1.weight")
        after = {name: last[f"{prefix}{name}"] for name in names}
        changed = {name for name in names if not torch.equal(before[name], after[name])}
        assert changed == said & names
        assert {"layer2.0.conv2.weight", "layer2.0.bn2.weight"} <= changed
    frozen = names - said
    assert {"layer1.0.conv1.weight", "layer2.0.conv1.weight"} <= frozen
    assert all(torch.equal(before[name], best[name]) for name in frozen)
    assert control is not None
