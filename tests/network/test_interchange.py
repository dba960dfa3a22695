"""Networks in files of others: every value comes back, onnxruntime gives the latents of embed."""

from __future__ import annotations

import contextlib
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from support import Cli, one_error

from aeclust import artifact as artifacts
from aeclust.errors import InputError
from aeclust.network import inference
from aeclust.network.interchange import load_safetensors, to_onnx, to_safetensors
from aeclust.network.model import Autoencoder, build, state_arrays
from aeclust.recipe import Recipe, named
from aeclust.run.folder import RunFolder

TINY = {"channels": (4, 8), "image_size": 8}
RECIPES = ("baseline", "vae", "deep", "hybrid")
DIGEST = "ab" * 32


def tiny(name: str, image_channels: int = 3) -> tuple[Autoencoder, Recipe]:
    """A network whose batch statistics are not those of the start."""
    recipe = named(name).override(TINY)
    network = build(recipe, image_channels, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5, generator=generator)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0, generator=generator)  # type: ignore[union-attr]
    return network, recipe


def pixels(n: int, channels: int) -> Any:
    return np.random.default_rng(n).integers(0, 256, (n, 8, 8, channels), dtype=np.uint8)


def refusal(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_safetensors(file)
    assert str(caught.value).isprintable()
    return str(caught.value)


# -- safetensors -------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", RECIPES)
def test_every_value_comes_back(tmp_path: Path, name: str, channels: int) -> None:
    network, recipe = tiny(name, channels)
    data = to_safetensors(network, recipe, epoch=7, digest=DIGEST)
    assert data == to_safetensors(network, recipe, epoch=7, digest=DIGEST)
    (tmp_path / "a.safetensors").write_bytes(data)
    back = load_safetensors(tmp_path / "a.safetensors")
    assert not back.training
    assert all(not module.training for module in back.modules())
    before, after = state_arrays(network), state_arrays(back)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert value.dtype == after[key].dtype
        assert np.array_equal(value, after[key])
    images = pixels(3, channels)
    first, second = (inference.embed(each, images) for each in (network, back))
    assert np.array_equal(first, second)


def test_the_metadata_say_where_the_weights_are_from() -> None:
    network, recipe = tiny("vae")
    data = to_safetensors(network, recipe, epoch=7, digest=DIGEST)
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["aeclust"])
    assert entry == {
        "format": 1, "recipe": recipe.to_json(), "image_channels": 3, "epoch": 7,
        "weights": DIGEST,
    }  # fmt: skip


def test_the_command_exports_the_checkpoint_asked_for(cli: Cli, run: RunFolder) -> None:
    for flags, epoch in (([], 11), (["--checkpoint", 4], 4)):
        assert cli("export", "a.safetensors", "--force", *flags).code == 0
        kept = artifacts.read(run.weights_file(epoch))
        exported = state_arrays(load_safetensors("a.safetensors"))
        for key, value in kept.group("state_dict/").items():
            assert np.array_equal(exported[key], value)
        assert kept.digest.encode() in Path("a.safetensors").read_bytes()
    assert not run.labels_file.exists()


def changed(edit: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """The file of a tiny network with other arrays or another header."""
    network, recipe = tiny("baseline")
    arrays: dict[str, Any] = dict(state_arrays(network))
    header = {"format": 1, "recipe": recipe.to_json(), "image_channels": 3}
    edit(arrays, header)
    data: bytes = save(arrays, {"aeclust": json.dumps(header)})
    return data


BIAS = "encoder.0.bias"
HOSTILE: list[tuple[Callable[[dict[str, Any], dict[str, Any]], object], str]] = [
    (lambda a, h: a.pop(BIAS), "the weights do not fit the network: missing encoder.0.bias"),
    (lambda a, h: a.update(extra=a[BIAS]), "unexpected extra"),
    (
        lambda a, h: a.update({BIAS: np.zeros(5, np.float32)}),
        "encoder.0.bias is (5,) instead of (4,)",
    ),
    (
        lambda a, h: a.update({BIAS: a[BIAS].astype(np.float64)}),
        "encoder.0.bias is float64 instead of float32, or is not finite",
    ),
    (lambda a, h: a.update({BIAS: np.full(4, np.nan, np.float32)}), "or is not finite; expected"),
    (lambda a, h: h.update(format=2), "its metadata has no entry aeclust of format 1"),
    (lambda a, h: h.update(image_channels=2), "it is for images of 2 channels"),
    (lambda a, h: h.update(image_channels=[3]), "it is for images of [3] channels"),
    (lambda a, h: h.pop("image_channels"), "cannot be used: 'image_channels'"),
    (lambda a, h: h.pop("recipe"), "cannot be used: 'recipe'"),
    (lambda a, h: h.update(recipe=3), "cannot be used: "),
    (lambda a, h: h["recipe"].update(lr=-1.0), "lr is -1.0; expected a number above 0"),
    (lambda a, h: h["recipe"].update(epoch=1), "no recipe field is called 'epoch'"),
    # a network that no memory holds is refused before it is built
    (lambda a, h: h["recipe"].update(channels=[2**20, 2**20]), "instead of (1048576,"),
    (lambda a, h: h["recipe"].update(channels=[2**40, 2**40]), "cannot be used: "),
    (lambda a, h: h["recipe"].update(latent_size=10**18), "cannot be used: "),
]


@pytest.mark.parametrize(("edit", "text"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, edit: Callable[[dict[str, Any], dict[str, Any]], None], text: str
) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(changed(edit))
    assert text in refusal(file)


def test_what_is_no_such_file_is_one_line(tmp_path: Path) -> None:
    end = "; expected a network as aeclust export wrote it; export it again"
    file = tmp_path / "a.safetensors"
    assert refusal(file) == f"{file}: cannot be used: it is no file{end}"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be used: it is no file{end}"
    deep = save({"a": np.zeros(1)}, {"aeclust": "[" * 100_000})
    for content in (b"", b"garbage", struct.pack("<Q", 2**62) + b"{}", save({}), deep):
        file.write_bytes(content)
        assert refusal(file).startswith(f"{file}: cannot be used: ")
        assert refusal(file).endswith(end)


WHOLE = changed(lambda arrays, header: None)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damage_is_a_network_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    file = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    file.write_bytes(content)
    with contextlib.suppress(InputError):
        assert not load_safetensors(file).training


# -- ONNX --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES[1:])  # the command below exports the baseline
def test_onnxruntime_gives_the_latents_of_embed(name: str) -> None:
    channels = 1 if name == "vae" else 3
    network, recipe = tiny(name, channels)
    data = to_onnx(network, recipe, epoch=7, digest=DIGEST)
    session = onnxruntime.InferenceSession(data)
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.name, source.type, source.shape) == (
        "images", "tensor(uint8)", ["n", 8, 8, channels],
    )  # fmt: skip
    for n in (1, 2, 7):
        images = pixels(n, channels)
        (latents,) = session.run(None, {"images": images})
        expected = inference.embed(network, images)
        assert latents.dtype == np.float32
        assert latents.shape == expected.shape
        assert np.abs(latents - expected).max() < 1e-5
    assert (target.name, target.type, target.shape) == (
        "latents", "tensor(float)", ["n", expected.shape[1]],
    )  # fmt: skip
    entries = session.get_modelmeta().custom_metadata_map
    assert json.loads(entries["recipe"]) == recipe.to_json()
    assert (entries["epoch"], entries["weights"]) == ("7", DIGEST)
    onnx.checker.check_model(data, full_check=True)
    assert b".py" not in data, "the exporter's notes hold paths"


def test_the_command_exports_what_embed_computes(cli: Cli, full_run: RunFolder) -> None:
    assert cli("export", "a.onnx") == (
        0, "a.onnx: the encoder of recipe baseline after epoch 11\n", "",
    )  # fmt: skip
    images = np.load(full_run.manifest().source.location)
    (latents,) = onnxruntime.InferenceSession("a.onnx").run(None, {"images": images})
    expected = artifacts.read(full_run.latents_file).arrays["latents"]
    assert np.abs(latents - expected).max() < 1e-4
    assert cli("export", "b.onnx").code == 0
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


# -- without the extras ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "library", "packages"),
    [
        ("safetensors", "safetensors.numpy", "'safetensors>=0.5'"),
        ("onnx", "onnx", "'onnx>=1.17' 'onnxscript>=0.5' 'onnxruntime>=1.20'"),
        ("onnx", "onnxscript", "'onnx>=1.17' 'onnxscript>=0.5' 'onnxruntime>=1.20'"),
    ],
)
def test_a_missing_extra_says_how_to_install_it(
    cli: Cli,
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    library: str,
    packages: str,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert one_error(cli("export", f"a.{ending}")) == (
        f".{ending}: a library for it is missing ({library}); "
        f"expected aeclust with its extra {ending}; pip install {packages}"
    )
    assert not Path(f"a.{ending}").exists()
