"""What a run keeps of its dataset opens again what trained, and changes are noticed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.data.changes import changed_files, changed_sources
from core.data.sources.scan import scan
from core.data.splits import honest_sets
from core.errors import RunError
from core.features.cache import Features
from core.recipe.recipe import new_recipe
from core.runs import dataset_record
from core.runs.run_folder import Run, create_run
from core.training.context import dataset_notices


def recorded(index, folder: Path) -> Run:
    sets = honest_sets(index)
    n = len(sets.train) + len(sets.report)
    features = Features(
        np.zeros((n, 2), np.float32), np.ones(n, np.bool_), tuple(map(str, range(n))), (), n, 0.0
    )
    run = create_run(folder, new_recipe({}))
    run.write_dataset(dataset_record.to_document(index, sets, features))
    return run


@pytest.fixture
def table(make_image_folder, tmp_path: Path) -> Path:
    make_image_folder(tmp_path / "one", classes=("a", "b"), splits=(), per_class=5)
    make_image_folder(tmp_path / "two", classes=("a", "b"), splits=(), per_class=5, seed=2)
    (tmp_path / "tables").mkdir()
    rows = [
        f"{path},{path.parent.name},{('train', 'val', 'test')[i % 5 // 2]},{i % 3},{i % 2}"
        for i, path in enumerate(sorted(tmp_path.glob("*/*/*.png")))
    ]
    table = tmp_path / "tables" / "labels.csv"
    table.write_text("\n".join(["path,label,split,patient,label_odd", *rows]))
    return table


def test_a_run_on_a_table_knows_its_sources_groups_and_tasks(table, tmp_path):
    index = scan(table)
    assert index.root == tmp_path
    again, sets, hashes = dataset_record.from_document(recorded(index, tmp_path / "run"))
    assert again.opened == (table,)
    assert again.root == tmp_path
    assert len(hashes) == len(sets.train) + len(sets.report)
    place = {file: i for i, file in enumerate(index.files)}
    for i, file in enumerate(again.files):
        assert again.groups[i] == index.groups[place[file]]
        assert again.tasks[0].labels[i] == index.tasks[0].labels[place[file]]
        assert again.class_of(i) == index.class_of(place[file])
    assert set(again.split_counts()) == {"train", "val", "test"}


def test_an_archive_that_was_cleared_away_is_unpacked_again(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", per_class=3)
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in folder.rglob("*.png"):
            packed.write(path, path.relative_to(folder).as_posix())
    index = scan(archive)
    run = recorded(index, tmp_path / "run")
    shutil.rmtree(index.root)
    again, _, _ = dataset_record.from_document(run)
    assert all(again.path(i).is_file() for i in range(len(again)))
    shutil.rmtree(index.root)
    archive.unlink()
    with pytest.raises(RunError, match="is no longer at"):
        dataset_record.from_document(run)


def test_what_changed_since_the_scan_is_told_in_a_sentence(table):
    index = scan(table)
    sets = honest_sets(index)
    everything = range(len(index))
    assert changed_files(index, everything) == []
    assert changed_sources(index) == []
    assert not [n for n in dataset_notices(index, sets) if n.level == "warning"]
    changed = index.files[int(sets.train[0])]
    (index.root / changed).write_bytes((index.root / changed).read_bytes() + b"more")
    table.write_text(table.read_text().replace(",a,", ",b,", 1))
    assert changed_files(index, everything) == [changed]
    warnings = [n.text for n in dataset_notices(index, sets) if n.level == "warning"]
    assert warnings == [
        "1 picture has changed since the dataset was opened; the run uses it as it is now:"
        f" {changed}.",
        "labels.csv has changed since the dataset was opened; the run uses the labels from before.",
    ]
