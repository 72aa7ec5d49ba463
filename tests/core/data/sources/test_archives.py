"""An archive opens as the folder it was made from, safely, once, whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from core.data.journal import Edit, Journal
from core.data.open_dataset import open_dataset
from core.data.sources import archives
from core.data.sources.scan import scan
from core.errors import Cancelled, DatasetError
from core.system import paths

PICTURE = b"P6 2 2 255\n" + bytes(range(12))


@pytest.fixture(autouse=True)
def roomy(monkeypatch):
    """Whatever the disk of this machine has left."""
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: _Disk(free=2**40))


class _Disk:
    def __init__(self, free: int) -> None:
        self.free = free


def unpacked() -> list[str]:
    folder = paths.data_dir() / "archives"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def zip_of(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def zip_with(target: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return target


def tar_with(target: Path, entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(target, mode) as packed:
        for info, data in entries:
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return target


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def shades(*names: str) -> dict[str, bytes]:
    return {name: PICTURE[:-1] + bytes([number]) for number, name in enumerate(names)}


SOUND = shades(*(f"{kind}/{n}.ppm" for kind in ("cat", "dog") for n in range(4)))


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_an_archive_gives_what_its_folder_gives(make_image_folder, tmp_path, suffix):
    folder = make_image_folder(tmp_path / "shapes", per_class=4)
    archive = tmp_path / f"my shapes.{suffix}"
    if suffix == "zip":
        zip_of(folder, archive, "wrapped/shapes/")
    else:
        mode = {"tar": "w", "tgz": "w:gz"}.get(suffix, f"w:{suffix[4:]}")
        with tarfile.open(archive, mode) as packed:
            packed.add(folder, "wrapped/shapes")
    expected, index = scan(folder), scan(archive)
    assert index.name == "my shapes"
    assert index.sources == (archive,)
    assert index.files == expected.files
    assert index.labels.tolist() == expected.labels.tolist()
    assert index.splits.tolist() == expected.splits.tolist()
    assert index.root.is_relative_to(paths.data_dir() / "archives")
    assert not index.problems


def test_an_archive_is_unpacked_once_and_again_when_it_changed(tmp_path, monkeypatch):
    archive = zip_with(tmp_path / "a.zip", SOUND)
    first = scan(archive)
    runs = []
    run = archives._Unpacking.run
    monkeypatch.setattr(archives._Unpacking, "run", lambda self: (runs.append(1), run(self))[1])
    assert scan(archive).root == first.root
    assert not runs
    zip_with(archive, SOUND | shades("dog/9.ppm", "dog/10.ppm"))
    assert len(scan(archive)) == 10
    assert len(runs) == 1


def test_edits_belong_to_the_archive(tmp_path):
    archive = zip_with(tmp_path / "a.zip", SOUND)
    Journal(archive).add(Edit("exclude", ("cat/0.ppm",)))
    assert open_dataset(archive).excluded == ("cat/0.ppm",)


def test_a_table_in_an_archive_gives_the_labels(tmp_path):
    files = shades(*(f"set/images/{n}.ppm" for n in range(8)))
    files["set/labels.csv"] = ("file,label\n" + "\n".join(
        f"{n}.ppm,{'cat' if n < 4 else 'dog'}" for n in range(8)
    )).encode()  # fmt: skip
    index = scan(zip_with(tmp_path / "a.zip", files))
    assert index.class_counts() == {"cat": 4, "dog": 4}
    assert index.name == "a"


@pytest.mark.parametrize("name", ["../out.ppm", "/etc/out.ppm", "a/../../out.ppm", "C:\\out.ppm"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_entry_that_leads_out_is_refused_and_nothing_is_written(tmp_path, name, kind):
    if kind == "zip":
        archive = zip_with(tmp_path / "a.zip", SOUND | {name: PICTURE})
    else:
        archive = tar_with(tmp_path / "a.tar", [(entry("cat/1.ppm"), PICTURE),
                                                (entry(name), PICTURE)])  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match="is not safe"):
        scan(archive)
    assert unpacked() == []
    assert sorted(tmp_path.rglob("*")) == before


def test_links_become_copies_inside_and_nothing_outside_and_devices_are_passed_over(tmp_path):
    entries = [(entry(name), data) for name, data in SOUND.items()]
    entries += [
        (entry("dog/link.ppm", tarfile.SYMTYPE, "../cat/0.ppm"), b""),
        (entry("dog/hard.ppm", tarfile.LNKTYPE, "cat/1.ppm"), b""),
        (entry("dog/out.ppm", tarfile.SYMTYPE, "../../../../../etc/passwd"), b""),
        (entry("dog/pipe.ppm", tarfile.FIFOTYPE), b""),
        (entry("dog/disk.ppm", tarfile.BLKTYPE), b""),
    ]
    index = scan(tar_with(tmp_path / "a.tar", entries))
    assert index.class_counts() == {"cat": 4, "dog": 6}
    for path in index.root.rglob("*"):
        assert stat.S_ISREG(path.lstat().st_mode) or path.is_dir()
    names = {path.name for path in index.root.rglob("*")}
    assert {"link.ppm", "hard.ppm"} < names
    assert not {"out.ppm", "pipe.ppm", "disk.ppm"} & names


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 2**20)
    zeros = bytes(4 * 2**20)
    bomb = zip_with(tmp_path / "a.zip", {"cat/0.ppm": zeros, "dog/0.ppm": zeros})
    with pytest.raises(DatasetError, match="unpacks to more than 200 times its own size"):
        scan(bomb)
    bomb = tar_with(tmp_path / "a.tgz", [(entry("cat/0.ppm"), zeros)], "w:gz")
    with pytest.raises(DatasetError, match="200 times"):
        scan(bomb)
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(DatasetError, match="more than 3 files"):
        scan(zip_with(tmp_path / "b.zip", SOUND))
    assert unpacked() == []


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: _Disk(free=2**20))
    with pytest.raises(DatasetError, match="There is not enough space to unpack"):
        scan(zip_with(tmp_path / "a.zip", SOUND))
    assert unpacked() == []


def test_a_locked_archive_is_named(tmp_path):
    archive = zip_with(tmp_path / "a.zip", SOUND)
    data = bytearray(archive.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:  # the flag of a password, in every entry of the directory
        data[at + 8] |= 1
        at = data.find(b"PK\x01\x02", at + 4)
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match="is protected by a password"):
        scan(archive)
    assert unpacked() == []


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "words"])
def test_a_damaged_archive_is_named_and_leaves_nothing(make_image_folder, tmp_path, suffix, damage):
    folder = make_image_folder(tmp_path / "d", per_class=2)
    archive = tmp_path / f"a.{suffix}"
    if suffix == "zip":
        zip_of(folder, archive)
    else:
        with tarfile.open(archive, "w" if suffix == "tar" else f"w:{suffix[4:]}") as packed:
            packed.add(folder, "d")
    data = bytearray(archive.read_bytes())
    middle = len(data) // 2
    if damage == "cut":
        del data[middle:]
    elif damage == "words":
        data[:] = b"<html>not found</html>" * 40
    elif suffix == "tar":
        pytest.skip("a tar has no check sum of its contents: the pictures say what is wrong")
    else:
        data[middle : middle + 64] = bytes(64)
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match=r"“a\.\S+” is damaged|has no files") as caught:
        scan(archive)
    assert caught.value.hint
    assert unpacked() == []


@pytest.mark.parametrize("name", ["a.7z", "a.rar", "labels.xlsx", "notes.doc"])
def test_other_files_are_refused_in_words(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(DatasetError) as caught:
        scan(tmp_path / name)
    assert name in caught.value.message
    assert caught.value.hint


def test_a_cancel_leaves_nothing_half_made(tmp_path):
    archive = zip_with(tmp_path / "a.zip", SOUND)
    calls = []

    def stop() -> bool:
        calls.append(unpacked())
        return len(calls) == 4

    with pytest.raises(Cancelled):
        scan(archive, should_stop=stop)
    assert calls[-1], "it was at work"
    assert unpacked() == []
    assert len(scan(archive)) == 8


def test_names_of_all_kinds_are_unpacked(tmp_path):
    names = ["cat/🐱 a.ppm", "cat/two\nlines.ppm", "dog/" + "x" * 300 + ".ppm", "dog/b.ppm",
             "dog/" + "x" * 301 + ".ppm"]  # fmt: skip
    index = scan(zip_with(tmp_path / "a.zip", shades(*names)))
    assert index.class_counts() == {"cat": 2, "dog": 3}
    raw = entry(os.fsdecode(b"cat/\xff\xfe.ppm"))
    entries = [(entry(name), data) for name, data in SOUND.items()]
    index = scan(tar_with(tmp_path / "b.tar", [*entries, (raw, PICTURE[:-1] + b"~")]))
    assert index.class_counts() == {"cat": 5, "dog": 4}


def test_an_archive_without_pictures_is_named_as_it_is_called(tmp_path):
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DatasetError) as caught:
        scan(tmp_path / "notes.zip")
    assert caught.value.message.startswith("“notes.zip” has ")
