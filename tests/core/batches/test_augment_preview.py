"""The preview shows what training sees, for real pictures and by the command line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from core.batches.augment_preview import choose, preprocessing_of, preview, sheet
from core.batches.pixel_cache import PixelCache
from core.cli.app import main
from core.data.sources.scan import scan
from core.errors import DatasetError
from core.recipe.recipe import Recipe
from core.training.loop.batches import Batches, TrainingSet, UnreadableImages

RECIPE = Recipe(augmentation="strong", rotation=20, auto_augment="rand", erasing=0.5)


@pytest.fixture(scope="module")
def index(tmp_path_factory, make_image_folder):
    return scan(make_image_folder(tmp_path_factory.mktemp("seen") / "shapes", per_class=4))


def test_the_pictures_are_training_images_of_different_classes_and_others_when_asked(index):
    chosen = choose(index, 3)
    assert set(index.splits[list(chosen)]) == {0}
    assert sorted(index.labels[list(chosen)].tolist()) == [0, 1, 2]
    assert choose(index, 3) == chosen
    assert len({choose(index, 3, pick=pick) for pick in range(5)}) > 1
    assert len(choose(index, 7)) == len(set(choose(index, 7))) == 7
    assert len(choose(index, 100)) == 12


def test_a_view_is_the_very_one_of_the_trainer(index):
    """Same seed, epoch and image: the pixels that the trainer would put into its batch."""
    recipe = Recipe(augmentation="strong", seed=3)
    position = int(index.indices("train")[5])
    row = preview(index, [position], recipe, views=2)[0]
    paths = [index.path(i) for i in range(len(index))]
    data = TrainingSet(
        PixelCache(paths, preprocessing_of(recipe.model)),
        torch.from_numpy(index.labels.astype(np.int64)),
        np.array([position]),
        np.array([0]),
    )
    from concurrent.futures import ThreadPoolExecutor

    from core.batches.augment import augment_batch

    with ThreadPoolExecutor(1) as pool:
        for epoch in (1, 2):
            batches = Batches(data, recipe)
            _n, views, _labels = next(batches(epoch, 0, pool, UnreadableImages(lambda event: None)))
            images = views[0].pixels[None].float().div_(255)
            seen = augment_batch(images, [views[0].draw], fill=torch.full((1, 3, 1, 1), 0.5))
            pixels = seen[0].mul(255).round().byte().permute(1, 2, 0).numpy()
            assert np.array_equal(pixels, row.views[epoch - 1])


def test_each_view_is_another_and_a_roll_gives_new_ones(index):
    positions = choose(index, 2)
    rows = preview(index, positions, RECIPE, views=5)
    assert [row.label for row in rows] == [index.classes[index.labels[p]] for p in positions]
    for row in rows:
        assert len({view.tobytes() for view in row.views}) == 5
    again, other = (preview(index, positions, RECIPE, views=5, roll=roll) for roll in (0, 1))
    assert np.array_equal(rows[0].views[0], again[0].views[0])
    old = {view.tobytes() for row in rows for view in row.views}
    assert not old & {view.tobytes() for row in other for view in row.views}


def test_without_augmentation_every_view_is_the_picture_itself(index):
    row = preview(index, choose(index, 1), Recipe(augmentation="none"), views=2)[0]
    assert all(np.array_equal(view, row.plain) for view in row.views)
    assert row.shares.tolist() == [row.shares[0].tolist()] * 2


def test_mixed_views_tell_the_shares_of_their_labels(index):
    rows = preview(index, choose(index, 3), Recipe(cutmix=1.0, mixup=0.4), views=4)
    shares = np.stack([row.shares for row in rows])
    assert np.allclose(shares.sum(-1), 1)
    assert ((shares > 0.01) & (shares < 0.99)).any()


def test_a_picture_that_is_gone_is_left_out_and_none_at_all_is_said(index, tmp_path):
    gone = dataclasses.replace(index, root=tmp_path)
    with pytest.raises(DatasetError, match="cannot be read"):
        preview(gone, choose(gone, 2), RECIPE, views=1)
    files = list(index.files)
    files[0] = "train/circle/absent.png"
    partly = dataclasses.replace(index, files=tuple(files))
    assert len(preview(partly, [0, 1], RECIPE, views=1)) == 1


def test_the_sheet_has_a_row_for_each_picture(index):
    rows = preview(index, choose(index, 2), RECIPE, views=3)
    side = rows[0].plain.shape[0]
    assert sheet(rows).size == (4 * (side + 4) + 4, 2 * (side + 4) + 4)


def test_the_command_line_writes_the_sheet_and_replaces_nothing(index, tmp_path, capsys):
    out = tmp_path / "seen.png"
    command = ["augment-preview", str(index.root), "--out", str(out), "--set", "rotation=30"]
    assert main([*command, "--pictures", "2", "--views", "2"]) == 0
    with Image.open(out) as picture:
        assert picture.size == (3 * 228 + 4, 2 * 228 + 4)
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*command[:3], str(tmp_path / "seen.txt")]) == 1
    assert not (tmp_path / "seen.txt").exists()
