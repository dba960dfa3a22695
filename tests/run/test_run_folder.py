"""The run folder: its manifest comes back as written, and one process at a time writes in it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import RECIPE, Cli, Data, check_error, files_of, one_error, raising, refused

from aeclust.errors import BusyError, InputError, Interrupted, WriteError
from aeclust.images import Source
from aeclust.recipe import RECIPES
from aeclust.run.folder import RunFolder
from aeclust.run.manifest import Manifest

MANIFEST = Manifest(
    source=Source(location="/data/ünïcode\n.npy", layout="nhwc", range="-1:1", skip_bad=True),
    data_digest="ab" * 32,
    shape=(10, 8, 8, 1),
    recipe=RECIPES["deep"].override({"k": 3, "reduction": "none"}),
    seed=7,
    val_images="demo:scenes-val",
    val_labels="/data/labels.csv",
)
LATIN_1 = os.fsdecode(b"/data/caf\xe9.npy")  # a path that is no text

HOLDER = """
import sys
from pathlib import Path
from aeclust.run.folder import RunFolder
with RunFolder(Path("aeclust-run")).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


# -- manifest ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        dataclasses.replace(
            MANIFEST, source=Source(location=LATIN_1), val_images=LATIN_1, val_labels=LATIN_1
        ),
        dataclasses.replace(MANIFEST, kept=(2, 4), flattened=True),
    ],
    ids=["text", "bytes", "estimator"],
)
def test_a_manifest_comes_back_as_written(tmp_path: Path, manifest: Manifest) -> None:
    run = RunFolder(tmp_path)
    assert not run.exists()
    run.write_manifest(manifest)
    assert run.exists()
    assert run.manifest() == manifest
    written = run.manifest_file.read_bytes()
    assert os.fsencode(manifest.source.location).split(b"/")[-1].split(b"\n")[0] in written
    run.manifest_file.write_bytes(b"\xef\xbb\xbf" + written)  # as some editors save it
    assert run.manifest() == manifest


def changed(**changes: Any) -> str:
    return json.dumps({**MANIFEST.to_json(), **changes})


def other_data(**changes: Any) -> str:
    return changed(data={"sha256": "", "shape": [1, 8, 8, 3], "location": "x", **changes})


def test_a_signal_while_a_file_is_read_does_not_make_it_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    run.manifest_file.write_text("{}", encoding="utf-8")
    run.metrics_file.write_text("{}", encoding="utf-8")
    monkeypatch.setattr("json.loads", raising(Interrupted(15, "stopped")))
    for reader in (run.manifest, run.metrics):
        with pytest.raises(Interrupted):
            reader()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSONDecodeError: "),
        ("[]", "TypeError: "),
        ("null", "TypeError: "),
        ("[" * 100_000, "RecursionError: "),
        ("\xff", "JSONDecodeError: "),
        (changed(data=None), "TypeError: "),
        (other_data(surprise=1), "TypeError: "),
        (other_data(shape=[1, 8, 8]), "ValueError: no images have such a shape"),
        (other_data(shape=[1, 8]), "ValueError: no images have such a shape"),
        (other_data(features=True), "ValueError: features and recipe "),
        (other_data(shape=[0, 8, 8, 3]), "ValueError: no images have such a shape"),
        (other_data(shape=[1, 8, 8, 4]), "ValueError: no images have such a shape"),
        (other_data(location=5), "TypeError: location "),
        (other_data(size="8"), "TypeError: size "),
        (other_data(skip_bad=1), "TypeError: location or skip_bad "),
        (other_data(range=[1]), "TypeError: layout or range "),
        (changed(pictures={}), "KeyError: 'location')"),
        (changed(pictures={"location": "x", "fit": 3}), "ValueError: fit "),
        (changed(seed=-5), "ValueError: seed is not in 0 to 2^32 - 1)"),
        (changed(seed=2**32), "ValueError: seed is not in 0 to 2^32 - 1)"),
        (changed(seed=None), "TypeError: "),
        (changed(validation={}), "KeyError: 'images')"),
        (changed(validation={"images": "x", "labels": 5}), "TypeError: validation is no text"),
        *((changed(kept=kept), "") for kept in ([], ["x"], 4, [float("inf")])),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str, reason: str) -> None:
    run = RunFolder(tmp_path)
    run.manifest_file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        run.manifest()
    assert caught.value.what.startswith(f"is damaged ({reason}")
    check_error(
        caught.value,
        where=str(run.manifest_file),
        expected="the file as aeclust train wrote it",
        mend="restore a copy, or train again with `force`",
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (changed(format=2), "is of format 2"),
        (changed(recipe={}), "the recipe has no name"),
        (changed(recipe={"name": "own", "epoch": 1}), "no recipe field is called 'epoch'"),
        (changed(recipe={**RECIPES["deep"].to_json(), "epochs": -1}), "epochs is -1"),
    ],
)
def test_a_manifest_of_another_version_is_named(tmp_path: Path, text: str, what: str) -> None:
    run = RunFolder(tmp_path)
    run.manifest_file.write_text(text, encoding="utf-8")
    with refused(what=what, where=str(run.manifest_file)):
        run.manifest()


def test_no_manifest_says_what_to_do(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "no")
    with refused(
        what="there is no run here",
        where=str(run.path),
        expected="a folder made by aeclust train",
        mend="run aeclust train first, or name the folder with `run`",
    ):
        run.manifest()


def test_checkpoints_are_files_of_their_name_alone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.checkpoints() == []
    (tmp_path / "weights").mkdir()
    for name in ("epoch-0010.h5", "epoch-0002.h5", "epoch-12345.h5", "epoch-3.h5", "epoch-0004"):
        (tmp_path / "weights" / name).touch()
    (tmp_path / "weights" / ".epoch-0005.h5.x.tmp").touch()
    assert run.checkpoints() == [2, 10, 12345]


# -- lock --------------------------------------------------------------------------------------


def test_the_lock_names_its_holder_and_can_be_taken_again_within(tmp_path: Path) -> None:
    run, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    for _ in range(2):
        with contextlib.suppress(KeyError), run.lock():
            with run.lock():
                pass
            assert other.worker() == os.getpid()
            with refused(BusyError, what=f"another process works here (process {os.getpid()})"):
                other.lock().__enter__()
            raise KeyError  # which frees it
        assert other.worker() is None


def test_a_place_that_cannot_be_a_folder_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        refused(WriteError, where=f"{tmp_path}/file", mend="choose another folder"),
        RunFolder(tmp_path / "file").lock(),
    ):
        pass


def test_a_held_folder_refuses_writers_serves_readers_and_is_free_after_a_kill(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    before = files_of(full_run.path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        writers: list[list[object]] = [["train", data.images, *RECIPE, "--force"]]
        writers += [["embed", "--force"], ["cluster", "--force"], ["cluster", "-k", 3]]
        for writer in writers:
            assert one_error(cli(*writer, "-q"), 5) == (
                f"aeclust-run: another process works here (process {holder.pid}); "
                "wait for it to end, or use another folder"
            )
        for reader in (["embed"], ["cluster"], ["predict"], ["info"], ["predict", data.val_images]):
            assert cli(*reader).code == 0
        assert files_of(full_run.path) == before
    finally:
        holder.kill()
        holder.communicate()
    assert full_run.worker() is None
    assert cli("cluster", "--force").code == 0


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    left = [".labels.h5.k2j_x9ab.tmp", "weights/.epoch-0003.h5.abcdefgh.tmp"]
    left += [".run.json.00000000.tmp", ".run.json.next.abcdefgh.tmp", ".metrics.jsonl.abcdefgh.tmp"]
    kept = [".embedding.png.abcdefgh.tmp", ".notes.txt.abcdefgh.tmp", ".labels.h5.tmp"]
    kept += ["labels.h5", "labels.h5.abcdefgh.tmp"]
    for name in left + kept:
        (tmp_path / name).write_bytes(b"x")
    with RunFolder(tmp_path).lock():
        assert sorted(files_of(tmp_path)) == sorted(kept)


def test_a_command_line_names_the_folder_where_it_must() -> None:
    assert RunFolder(Path("there")).command("cluster") == "aeclust cluster"
    elsewhere = RunFolder(Path("there"), " --run there")
    assert elsewhere.command("cluster") == "aeclust cluster --run there"
    assert elsewhere.command("train --resume") == "aeclust train --run there --resume"
