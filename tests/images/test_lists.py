"""Images that are named one by one: a single file, a list of paths, the members of a .zip."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from image_files import GREY, RGB, Files, flat, npy, pictures, saved, zipped
from support import refused, within

from aeclust.images import Source, archives, is_files, load, look

PNGS: Files = {f"{shade}.png": flat(shade) for shade in (10, 20, 30)}
PNG = saved(flat(10), "PNG")


def shades(location: object) -> dict[str, int]:
    """The grey of each image."""
    images = load(Source(location=str(location)))
    return dict(zip(images.ids.tolist(), images.pixels[:, 0, 0, 0].tolist(), strict=True))


# -- one file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a", "a.jpg", "a.txt.bmp"])
def test_one_image_is_a_source(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PNG)
    assert is_files(f"{tmp_path}/{name}")
    assert shades(tmp_path / name) == {name: 10}


def test_one_file_that_is_no_image_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"<html>")
    with refused(what="is an HTML page, not an image", where=str(path)):
        shades(path)
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    what = "holds no image, but 1 file of another kind (1 HEIC: pip install pillow-heif)"
    with refused(what=what, where=str(path)):
        shades(path)


def test_arrays_and_what_is_gone_are_no_files_of_images(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy(GREY))
    (tmp_path / "b.npz").write_bytes(zipped(x_npy=npy(GREY)))
    (tmp_path / "c").write_bytes(b"text")
    for place in ("a.npy", "b.npz", "c", "d.png", "e.csv"):
        assert not is_files(f"{tmp_path}/{place}")
        assert look(f"{tmp_path}/{place}") is None
    assert not is_files("demo:scenes")


# -- a list of paths ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "in/30.png\nin/10.png\n"),
        ("list.TXT", "\ufeffin/30.png\r\n\r\nin/10.png"),
        ("list.csv", "path\nin/30.png\nin/10.png\n"),
        ("list.csv", "\ufeffid,Path,label\r\n1,in/30.png,2\r\n\r\n2,in/10.png,3\r\n"),
        ("list.csv", "id,label\nin/30.png,2\nin/10.png,3\n"),
        ("list.csv", 'label,FILENAME\n2,"in/30.png"\n3,in/10.png\n'),
        ("list.csv", "id,file\nx,in/30.png\ny,in/10.png\n"),
    ],
)
def test_a_list_names_images_relative_to_its_folder(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(PNGS)(tmp_path / "data")
    path = tmp_path / "data" / name
    path.write_bytes(text.encode())
    monkeypatch.chdir("/")  # wherever the command runs
    assert shades(path) == {"in/10.png": 10, "in/30.png": 30}


def test_ids_are_the_paths_as_they_are_written(tmp_path: Path) -> None:
    folder = Path(pictures({**PNGS, "a, b.png": flat(7)})(tmp_path).location)
    listed = tmp_path / "lists" / "a.csv"
    listed.parent.mkdir()
    listed.write_text(f'path\n{folder}/10.png\n../in/20.png\n"../in/a, b.png"\n')
    assert shades(listed) == {f"{folder}/10.png": 10, "../in/20.png": 20, "../in/a, b.png": 7}


def test_a_path_that_stands_there_twice_is_read_once_and_said(tmp_path: Path) -> None:
    pictures(PNGS)(tmp_path)
    (tmp_path / "a.txt").write_text("in/10.png\nin/20.png\nin/10.png\nin/10.png\n")
    images = load(Source(location=f"{tmp_path}/a.txt"))
    assert images.ids.tolist() == ["in/10.png", "in/20.png"]
    assert images.skipped == ["2 repeated lines"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.txt", "in/10.png\n\nin/gone\n", 3),
        ("a.csv", 'path,note\nin/10.png,"two\nlines"\nin/gone,x\n', 4),
    ],
)
def test_a_missing_file_names_its_line(name: str, text: str, line: int, tmp_path: Path) -> None:
    pictures(PNGS)(tmp_path)
    (tmp_path / name).write_text(text)
    with refused(
        what="there is no such file",
        where=f"{tmp_path}/{name}, line {line} (in/gone)",
        mend="check the path, or leave such files out with `skip_bad`",
    ):
        shades(tmp_path / name)
    images = load(Source(location=f"{tmp_path}/{name}", skip_bad=True))
    assert images.ids.tolist() == ["in/10.png"]
    assert images.skipped == ["in/gone: No such file or directory"]


@pytest.mark.parametrize(
    ("name", "content", "what", "expected", "mend"),
    [
        ("a.txt", b"", "names no files", "the path of an image in each line", ""),
        ("a.csv", b"path\n", "names no files", "the path of an image in each line", ""),
        (
            "a.csv", b"paths,label\na.png,1\n", "has no column of paths",
            "one called path, file, filename or id", "did you mean path?",
        ),
        (
            "a.csv", b"a.png\nb.png\n", "has no column of paths",
            "one called path, file, filename or id", "name it in the first line",
        ),
        ("a.csv", b"label,path\n1,a.png\n2\n", "line 3 has no path", "the path of an image", ""),
        ("a.txt", b"a\0.png", "line 1 holds no path", "the path of an image", ""),
        ("a.txt", b"x" * 2_000, "line 1 holds no path", "the path of an image", ""),
        (
            "a.txt", b"a.png\ngr\xfc\xdfe.png", "line 2 is not UTF-8", "UTF-8",
            "save it as UTF-8, which spreadsheets call CSV UTF-8",
        ),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(
    name: str, content: bytes, what: str, expected: str, mend: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with refused(what=what, expected=expected, mend=mend, where=str(path)):
        load(Source(location=str(path)))


def test_marks_of_listed_files_are_theirs(tmp_path: Path) -> None:
    pictures(PNGS)(tmp_path)
    (tmp_path / "a.txt").write_text("in/10.png\nin/20.png\n")
    before = look(f"{tmp_path}/a.txt")
    os.utime(tmp_path / "a.txt")
    (tmp_path / "in" / "20.png").write_bytes(PNG)
    after = look(f"{tmp_path}/a.txt")
    assert before is not None
    assert after is not None
    assert (before.marks == after.marks).tolist() == [True, False]


# -- archives ----------------------------------------------------------------------------------


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


MEMBERS = {
    "b/": b"", "b/20.png": saved(flat(20), "PNG"), "10.jpg": saved(flat(10), "PNG"),
    "b/30": saved(flat(30), "GIF"), "b/notes.txt": b"no image", "__MACOSX/b/20.png": b"x",
    ".DS_Store": b"x", "b/._20.png": b"x", ".hidden/20.png": b"x", "more.zip": zipped(a_png=PNG),
}  # fmt: skip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", ["a.zip", "a"])
def test_an_archive_is_read_without_being_unpacked(name: str, method: int, tmp_path: Path) -> None:
    path = archive(tmp_path / name, MEMBERS, method)
    images = load(Source(location=str(path)))
    assert images.ids.tolist() == ["10.jpg", "b/20.png", "b/30"]
    assert images.pixels[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert images.skipped == ["2 files of other kinds (1 .txt, 1 .zip)"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name]


def test_an_archive_of_arrays_alone_is_an_array(tmp_path: Path) -> None:
    for name in ("a.zip", "a.npz"):
        (tmp_path / name).write_bytes(zipped(x_npy=npy(RGB)))
        images = load(Source(location=f"{tmp_path}/{name}"))
        assert images.pixels.tolist() == RGB.tolist()
        assert images.ids.tolist() == [0, 1]


def test_members_are_marked_by_their_content(tmp_path: Path) -> None:
    first = look(str(archive(tmp_path / "a.zip", {"a.png": PNG, "b.png": PNG})))
    other = saved(flat(11), "PNG")
    again = look(str(archive(tmp_path / "b.zip", {"a.png": PNG, "b.png": other}, 0)))
    assert first is not None
    assert again is not None
    assert (first.marks == again.marks).tolist() == [True, False]


def test_many_threads_read_one_archive(tmp_path: Path) -> None:
    members = {f"{i:03}.png": saved(flat(i), "PNG") for i in range(200)}
    listing = look(str(archive(tmp_path / "a.zip", members)))
    assert listing is not None

    def content(name: str) -> bytes:
        with listing.open(name) as file:
            return file.read()

    with within(30), ThreadPoolExecutor(8) as pool:
        assert list(pool.map(content, list(members) * 5)) == list(members.values()) * 5


@pytest.mark.parametrize(
    "name", ["/etc/a.png", "../a.png", "a/../../b.png", "C:/a.png", "..\\a.png", "\\a.png"]
)
def test_names_that_lead_out_of_an_archive_are_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": PNG, name: PNG})
    with refused(what=f"holds a file named {name!r}", expected="names within it", where=str(path)):
        load(Source(location=str(path)))


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", PNG)
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.png", PNG)
    with refused(what="holds two files named 'a.png'", expected="one of each name"):
        load(Source(location=str(path)))


def patched(path: Path, **fields: int) -> Path:
    """An archive whose directory claims other things of its first member."""
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    places = {"flags": (8, "<H"), "crc": (16, "<I"), "size": (24, "<I")}
    for name, value in fields.items():
        at, form = places[name]
        struct.pack_into(form, data, entry + at, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"flags": 1}, "it is encrypted"),
        ({"crc": 7}, "Bad CRC-32 for file 'a.png'"),
        ({"size": 700_000_000}, "it claims more than 600000000 bytes"),
    ],
)
def test_a_member_that_cannot_be_read_is_named(
    fields: dict[str, int], why: str, tmp_path: Path
) -> None:
    path = patched(archive(tmp_path / "a.zip", {"a.png": PNG, "b.png": PNG}), **fields)
    with refused(what=f"cannot be read ({why})", where=f"{path}/a.png"):
        load(Source(location=str(path)))
    images = load(Source(location=str(path), skip_bad=True))
    assert images.ids.tolist() == ["b.png"]
    assert images.skipped == [f"a.png: {why}"]


def test_a_member_is_unpacked_no_further_than_it_says(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "a.zip", {"a.png": PNG + bytes(50_000_000), "b.png": PNG})
    assert bomb.stat().st_size < 100_000
    patched(bomb, size=len(PNG), crc=zlib.crc32(PNG))
    listing = look(str(bomb))
    assert listing is not None
    tracemalloc.start()
    try:
        with listing.open("a.png") as file:
            assert file.read() == PNG
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_in_parts_is_refused(method: int, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": PNG}, method)
    what = "cannot be read (it is packed otherwise than by deflate)"
    with refused(what=what, where=f"{path}/a.png"):
        load(Source(location=str(path)))


def test_members_below_a_dot_are_not_hidden(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"./a.png": PNG, "./.b.png": PNG})
    assert load(Source(location=str(path))).ids.tolist() == ["./a.png"]


def test_of_what_is_no_image_only_the_first_bytes_are_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"film.mp4": bytes(50_000_000), "a.png": PNG})
    listing = look(str(path))
    assert listing is not None
    with listing.open("film.mp4") as file:
        assert len(file.read()) == 512


def test_an_archive_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": PNG, "b.png": PNG})
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 1)
    with refused(what="holds 2 files", expected="up to 1", where=str(path)):
        load(Source(location=str(path)))
    monkeypatch.undo()
    long = archive(tmp_path / "b.zip", {"a" * 2_000 + ".png": PNG})
    with refused(what="holds a file with an endless name", expected="shorter names"):
        load(Source(location=str(long)))


def test_half_an_archive_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", MEMBERS)
    path.write_bytes(path.read_bytes()[:-30])
    with refused(
        what="cannot be read (File is not a zip file)",
        expected="a whole .zip file",
        mend="copy it again",
        where=str(path),
    ):
        load(Source(location=str(path)))
    with zipfile.ZipFile(path, "w"):
        pass
    with refused(what="holds no image", where=str(path)):
        load(Source(location=str(path)))


def test_pixels_of_an_archive_and_of_its_folder_are_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = Path(
        pictures({f"{i}.png": saved(flat(int(rng.integers(256))), "PNG") for i in range(9)})(
            tmp_path
        ).location
    )
    path = archive(tmp_path / "a.zip", {p.name: p.read_bytes() for p in folder.iterdir()})
    (tmp_path / "in" / "a.txt").write_text("\n".join(f"{i}.png" for i in range(9)))
    digests = {load(Source(location=str(p))).digest() for p in (path, folder / "a.txt")}
    (folder / "a.txt").unlink()
    assert digests == {load(Source(location=str(folder))).digest()}


def test_names_that_unix_wrote_are_utf8_even_where_it_is_not_said(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(_unflagged("ü.png".encode()))
    assert load(Source(location=str(path))).ids.tolist() == ["ü.png"]


def _unflagged(name: bytes) -> bytes:
    """An archive of one stored picture, whose name is bytes that nothing is said of."""
    crc, size = zlib.crc32(PNG), len(PNG)
    common = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, crc, size, size, len(name), 0)
    local = b"PK\3\4" + common + name + PNG
    more = struct.pack("<HHHII", 0, 0, 0, 0, 0)
    central = b"PK\1\2" + struct.pack("<BB", 20, 3) + common + more + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\5\6" + end
