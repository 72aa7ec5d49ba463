"""A table of labels opens as the folder would whose pictures it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from core.data.dataset import NO_GROUP, NO_LABEL, DatasetIndex
from core.data.journal import Edit
from core.data.open_dataset import journal_of, open_dataset
from core.data.sources.scan import scan
from core.data.sources.split_names import split_of
from core.data.sources.tables import read_table
from core.errors import Cancelled, DatasetError


def pictures(folder: Path, *files: str) -> None:
    for number, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, len(file), 9)).save(folder / file, "PNG")


def labels(index: DatasetIndex) -> dict[str, str]:
    return {file: index.class_of(i) for i, file in enumerate(index.files)}


def splits(index: DatasetIndex) -> dict[str, str]:
    return {file: index.split_of(i) for i, file in enumerate(index.files)}


NAMES = tuple(f"{kind}{n}.png" for kind in ("cat", "dog") for n in range(4))
EXPECTED = {name: name[:3] for name in NAMES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures(tmp_path / "pets", *NAMES)
    return tmp_path / "pets"


def write(folder: Path, rows: list[str], name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(rows) + "\n", encoding=encoding)
    return folder / name


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_delimiter_and_encoding_are_found_out(folder, delimiter, encoding):
    rows = [delimiter.join(("Label", "File Name"))]
    rows += [delimiter.join(('"käfer, gr"' if n[:3] == "cat" else "dog", n)) for n in NAMES]
    index = scan(write(folder, rows, encoding=encoding))
    assert set(labels(index).values()) == {"käfer, gr", "dog"}
    assert len(index) == 8
    assert index.root == folder
    assert index.sources == (folder / "labels.csv",)
    assert index.name == "pets"
    assert any("Latin-1" in note for note in index.notes) == (encoding == "latin-1")


@pytest.mark.parametrize(
    "header",
    ["path,label", "FILENAME,Class", "image_path,category", "img,target", "image,species"],
)
def test_the_usual_names_of_columns_are_known(folder, header):
    index = scan(write(folder, [header, *(f"{n},{n[:3]}" for n in NAMES)]))
    assert labels(index) == EXPECTED


def test_a_table_without_a_header_is_known_by_its_pictures(folder):
    assert labels(scan(write(folder, [f"{n[:3]},{n}" for n in NAMES]))) == EXPECTED
    rows = [f"{n},{'val' if '3' in n else 'train'},{n[:3]}" for n in NAMES]
    index = scan(write(folder, rows))
    assert labels(index) == EXPECTED
    assert index.split_counts() == {"train": 6, "val": 2}


def test_split_words_in_any_spelling_and_groups_are_kept(folder):
    words = ("Training", "train_set", "VALID", "Testing")
    rows = ["patient_id,path,label,subset"]
    rows += [f"p{i % 4},{n},{n[:3]},{words[i % 4]}" for i, n in enumerate(NAMES)]
    index = scan(write(folder, rows))
    assert index.split_counts() == {"train": 4, "val": 2, "test": 2}
    assert index.split_origin == "folders"
    assert index.groups.tolist() == [0, 1, 2, 3] * 2
    assert any("4 groups" in note for note in index.notes)


def test_a_drawn_val_keeps_groups_on_one_side(tmp_path):
    names = [f"{kind}{n:02d}.png" for kind in ("cat", "dog") for n in range(20)]
    pictures(tmp_path, *names)
    rows = [f"{n},{n[:3]},{n[:4]}" for n in names] + [names[0] + ",cat,"]
    index = scan(write(tmp_path, ["path,label,scene", *rows]))
    assert index.split_origin == "graftwork"
    assert index.split_counts() == {"train": 20, "val": 20}, "a fifth cannot be cut from two scenes"
    for group in set(index.groups.tolist()) - {NO_GROUP}:
        assert len(set(index.splits[index.groups == group].tolist())) == 1


def test_labels_that_are_numbers_stay_text_and_sort_as_text(folder):
    rows = [f"{n},{10 if n[:3] == 'cat' else 2}" for n in NAMES]
    assert scan(write(folder, ["file,label", *rows])).classes == ("10", "2")


def test_what_is_missing_torn_or_said_twice_is_named_and_the_rest_trains(folder):
    rows = ["path,label,split", *(f"{n},{n[:3]},train" for n in NAMES)]
    rows += ["gone.png,cat,train", "cat0.png,cat,train", "cat1.png,dog,train", "dog1.png,dog,extra"]
    rows += ["lonely"]
    index = scan(write(folder, rows))
    problems = {problem.file: problem for problem in index.problems}
    assert problems["gone.png"].reason == "there is no such file"
    assert problems["cat1.png"].kind == "two labels"
    assert "line 3 of the table says cat, line 12 says dog" in problems["cat1.png"].reason
    assert "“extra”" in problems["labels.csv"].reason
    assert "cat1.png" not in index.files
    assert index.class_counts() == {"cat": 3, "dog": 4}
    notes = " ".join(index.notes)
    assert "1 line of the table names a picture again" in notes
    assert "1 line of labels.csv without a path or a label column is left out" in notes
    assert "1 image without a label is left out" in notes


def test_pictures_without_a_label_stay_where_they_are_allowed(folder):
    rows = [f"{n},{'' if '3' in n else n[:3]}" for n in NAMES]
    table = write(folder, ["path,label", *rows])
    index = scan(table, allow_unlabelled=True)
    assert [index.files[i] for i in index.unlabelled] == ["cat3.png", "dog3.png"]
    assert splits(index)["cat3.png"] == ""
    assert len(scan(table)) == 6


def test_ids_without_a_suffix_are_looked_for_in_the_images_folder(tmp_path):
    pictures(tmp_path / "kaggle", *(f"train/{n}" for n in NAMES), "test/x.png")
    rows = ["id,label", *(f"{n[:-4]},{n[:3]}" for n in NAMES)]
    table = write(tmp_path / "kaggle", rows, "train.csv")
    expected = {f"train/{name}": label for name, label in EXPECTED.items()}
    assert labels(scan(table)) == expected
    write(tmp_path / "kaggle", ["id,label", "x,cat"], "sample_submission.csv")
    found = scan(tmp_path / "kaggle")
    assert labels(found) == expected
    assert found.root == tmp_path / "kaggle"
    assert found.sources == ()
    assert found.notes[0] == "Labels are from the table train.csv in the folder."


def test_a_table_beside_flat_pictures_or_an_images_folder_is_found(tmp_path):
    pictures(tmp_path / "flat", *NAMES)
    pictures(tmp_path / "wrapped" / "pets" / "images", *NAMES)
    rows = ["file,label", *(f"{n},{n[:3]}" for n in NAMES)]
    write(tmp_path / "flat", rows)
    write(tmp_path / "wrapped" / "pets", rows)
    assert labels(scan(tmp_path / "flat")) == EXPECTED
    wrapped = scan(tmp_path / "wrapped")
    assert wrapped.class_counts() == {"cat": 4, "dog": 4}
    assert scan(wrapped.opened).files == wrapped.files


def test_a_table_beside_class_folders_does_not_replace_them(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=())
    write(folder, ["path,label", "a/image_0000.png,other", "b/image_0000.png,another"])
    assert scan(folder).classes == ("a", "b")


def test_paths_of_another_machine_and_backslashes_are_found(folder):
    rows = [f"C:\\Users\\me\\pets\\{n},{n[:3]}" for n in NAMES]
    assert labels(scan(write(folder.parent, ["path,label", *rows]))) == {
        f"pets/{n}": n[:3] for n in NAMES
    }
    rows = [f"/home/me/data/./pets//{n},{n[:3]}" for n in NAMES]
    assert labels(scan(write(folder, ["path,label", *rows]))) == EXPECTED


def test_pictures_elsewhere_move_the_root_to_the_common_parent(folder, tmp_path):
    pictures(tmp_path / "more", "x.png")
    rows = [f"{n},{n[:3]}" for n in NAMES] + [f"{tmp_path}/more/x.png,dog", "../more/./x.png,dog"]
    index = scan(write(folder, ["path,label", *rows]))
    assert index.root == tmp_path
    assert len(index) == 9
    assert {"pets/cat0.png", "more/x.png"} < set(index.files)


def test_further_label_columns_are_kept_as_tasks(folder):
    rows = ["path,label,label_colour,label:size"]
    rows += [f"{n},{n[:3]},{'red' if i % 2 else 'blue'},{'' if i else 'big'}"
             for i, n in enumerate(NAMES)]  # fmt: skip
    index = scan(write(folder, rows))
    assert [(task.name, task.classes) for task in index.tasks] == [
        ("colour", ("blue", "red")),
        ("size", ("big",)),
    ]
    assert index.tasks[0].labels.tolist() == [0, 1] * 4
    assert index.tasks[1].labels.tolist() == [0] + [NO_LABEL] * 7
    journal_of(index).add(Edit("exclude", ("cat0.png",)))
    edited = open_dataset(folder / "labels.csv")
    assert edited.tasks[0].labels.tolist() == ([0, 1] * 4)[1:]
    assert any("colour (2 classes)" in note for note in index.notes)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([""], "is empty"),
        (["a,b", "1,2"], "has no column of pictures and labels"),
        (["path,width", "a.png,3"], "has no column of labels, only path, width"),
        (["label,width,height", "x,1,2"], "has no column of pictures"),
        (["path,label"], "names no picture"),
        (["path,label", "a.png,x", "b.png,y"], "None of the 2 pictures"),
        (["path,label", "cat0.png,", "dog0.png,"], "No picture in “pets” has a label"),
        (["path,label", *(f"{n},cat" for n in NAMES)], "only one class"),
    ],
)
def test_a_table_nothing_can_be_trained_on_is_refused_in_words(folder, rows, said):
    with pytest.raises(DatasetError) as caught:
        scan(write(folder, rows))
    assert said in caught.value.message
    assert caught.value.hint


def test_names_of_all_kinds_are_read_from_a_quoted_table(tmp_path):
    names = ["🐱 a.png", 'say "hi".png', "two\nlines.png", "x" * 240 + ".png", "comma, b.png"]
    pictures(tmp_path, *names)
    quoted = [name.replace('"', '""') for name in names]
    rows = ["path,label", *(f'"{name}",{"ab"[i % 2]}' for i, name in enumerate(quoted))]
    rows.append(f'"{"y" * 300}.png",a')
    index = scan(write(tmp_path, rows))
    assert set(index.files) == set(names)
    assert [problem.kind for problem in index.problems] == ["unreadable"]


def test_a_table_of_a_hundred_thousand_lines_is_read_and_the_reading_can_be_stopped(tmp_path):
    rows = ["path,label,split", *(f"a/{i}.jpg,c{i % 50},train" for i in range(100_000))]
    table = write(tmp_path, rows)
    assert len(read_table(table).files) == 100_000
    with pytest.raises(Cancelled):
        read_table(table, should_stop=lambda: True)


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("Training", 0), ("train_set", 0), ("TRAIN-images", 0), ("train2017", 0), ("trainval", 0),
        ("valid", 1), ("Validation", 1), ("dev", 1), ("eval", 1), ("val2017", 1), ("val_data", 1),
        ("test", 2), ("Testing", 2), ("test set", 2),
        ("trains", None), ("tester", None), ("device", None), ("evaluate me", None), ("", None),
        ("values", None), ("set", None), ("2017", None),
    ],
)  # fmt: skip
def test_split_words(word, split):
    assert split_of(word) == split


@pytest.mark.parametrize("words", [("True", "False"), ("1", "0"), ("yes", "no")])
@pytest.mark.parametrize(
    ("column", "split"), [("is_valid", "val"), ("val", "val"), ("is_test", "test")]
)
def test_a_column_that_says_yes_or_no_is_a_split(folder, words, column, split):
    rows = [f"path,label,{column}"]
    rows += [f"{n},{n[:3]},{words[0] if '3' in n else words[1]}" for n in NAMES]
    index = scan(write(folder, rows))
    assert index.split_counts()[split] == 2
    assert {file for file, said in splits(index).items() if said == split} == {
        "cat3.png", "dog3.png",
    }  # fmt: skip


def test_a_column_named_val_that_holds_measurements_is_no_split(folder):
    rows = ["path,label,val", *(f"{n},{n[:3]},{0.1 * i}" for i, n in enumerate(NAMES))]
    assert scan(write(folder, rows)).split_origin == "graftwork"
