"""Pixels in, pixels out, and the order in which training takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from aeclust import seeds
from aeclust.network import batches as module
from aeclust.network.batches import epoch_batches, generator, to_input, to_unit, windowed_order

CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**32 - 1)
SMALL = st.integers(0, 10**6)


def pixels(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


# -- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 255], np.uint8, [-1.0, 1.0]),
        ([127, 128], np.uint8, [-1 / 255, 1 / 255]),
        ([0.0, 1.0], np.float32, [-1.0, 1.0]),
        ([0.25, 0.5], np.float32, [-0.5, 0.0]),
        ([0.25, 0.5], np.float64, [-0.5, 0.0]),
        ([0.25, 0.5], np.float16, [-0.5, 0.0]),
    ],
)
def test_pixels_become_minus_one_to_one(
    values: list[float], dtype: type[Any], expected: list[float]
) -> None:
    batch = to_input(np.array(values, dtype).reshape(2, 1, 1, 1), 1, CPU)
    assert batch.dtype == torch.float32
    assert batch.shape == (2, 1, 1, 1)
    assert batch.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_channels_come_before_rows_and_columns() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)  # row, column, channel
    expected = [[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]]
    levels = (to_input(image, 2, CPU)[0] + 1) * 127.5
    torch.testing.assert_close(levels, torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("size", [4, 8, 12, 32])
@pytest.mark.parametrize("shape", [(12, 12), (9, 15)])
def test_other_sizes_are_resized_with_antialiasing(size: int, shape: tuple[int, int]) -> None:
    given_pixels = pixels(3, *shape, 3)
    plain = torch.from_numpy(given_pixels.transpose(0, 3, 1, 2) / 127.5 - 1).float()
    expected = F.interpolate(plain, (size, size), mode="bilinear", antialias=True)
    batch = to_input(given_pixels, size, CPU)
    assert batch.shape == (3, 3, size, size)
    torch.testing.assert_close(batch, expected, rtol=0, atol=1e-6)


def test_a_checkerboard_shrinks_to_grey() -> None:
    """Without antialiasing it would keep its contrast or gain a pattern."""
    board = np.indices((64, 64)).sum(0) % 2 * 255
    batch = to_input(board.astype(np.uint8)[None, :, :, None], 8, CPU)
    assert batch.abs().max() < 0.05


@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_plain_colour_stays_itself_at_any_size(size: int) -> None:
    batch = to_input(np.full((1, 8, 8, 3), [0, 51, 255], np.uint8), size, CPU)
    expected = torch.tensor([-1, -0.6, 1]).view(1, 3, 1, 1).expand(1, 3, size, size)
    torch.testing.assert_close(batch, expected)


def test_input_does_not_share_memory_with_the_pixels() -> None:
    given_pixels = np.full((1, 2, 2, 1), 0.5, np.float32)
    given_pixels.flags.writeable = False
    batch = to_input(given_pixels, 2, CPU)
    batch += 1
    assert given_pixels.tolist() == np.full((1, 2, 2, 1), 0.5).tolist()


def test_strided_pixels_are_read_as_they_look() -> None:
    given_pixels = pixels(4, 8, 8, 3)
    turned = given_pixels[::-2, ::-1, :, ::-1]
    expected = to_input(np.ascontiguousarray(turned), 8, CPU)
    assert torch.equal(to_input(turned, 8, CPU), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_to_unit_undoes_to_input(channels: int) -> None:
    given_pixels = pixels(2, 8, 8, channels)
    unit = to_unit(to_input(given_pixels, 8, CPU))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, given_pixels / 255, atol=1e-6)
    assert np.array_equal(np.rint(unit * 255), given_pixels)
    np.testing.assert_allclose(to_unit(to_input(unit, 8, CPU)), unit, atol=1e-6)


def test_to_unit_keeps_within_the_unit() -> None:
    batch = torch.tensor([-1.5, -1.0, 0.0, 1.0, 7.0]).view(1, 1, 1, 5).to(torch.bfloat16)
    assert to_unit(batch).tolist() == [[[[0.0], [0.0], [0.5], [1.0], [1.0]]]]


# -- order ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 80), SEEDS, SMALL)
def test_batches_part_the_images(n: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(n, batch_size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    sizes = [len(rows) for rows in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch_size + 1
    assert sizes[-1] != 1 or n == 1


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [
        (20, 6, [6, 6, 6, 2]),
        (19, 6, [6, 6, 7]),
        (18, 6, [6, 6, 6]),
        (7, 6, [7]),
        (6, 6, [6]),
        (5, 64, [5]),
        (1, 64, [1]),
        (3, 1, [1, 2]),
    ],
)
def test_sizes_of_batches(n: int, batch_size: int, sizes: list[int]) -> None:
    batches = epoch_batches(n, batch_size, seed=0, epoch=0)
    assert [len(rows) for rows in batches] == sizes


@settings(deadline=None)
@given(SEEDS, SMALL, st.integers(1, 40))
def test_the_order_depends_on_seed_and_epoch_alone(seed: int, epoch: int, batch_size: int) -> None:
    whole = epoch_batches(100, 100, seed=seed, epoch=epoch)[0]
    batches = epoch_batches(100, batch_size, seed=seed, epoch=epoch)
    assert np.array_equal(np.concatenate(batches), whole)
    for other in ((seed, epoch + 1), ((seed + 1) % 2**32, epoch)):
        # equal by chance once in 100!
        different = epoch_batches(100, 100, seed=other[0], epoch=other[1])[0]
        assert not np.array_equal(different, whole)


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 30), st.integers(1, 9), st.integers(1, 40), SEEDS)
def test_a_batch_comes_from_the_pieces_of_one_window_or_two(
    n: int, piece: int, window: int, batch: int, seed: int
) -> None:
    order = windowed_order(n, piece=piece, window=window, rng=np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(n))
    # the edges between pieces lie `piece` rows apart; the generator tells the first
    first = int(np.random.default_rng(seed).integers(1, piece + 1))
    pieces = ((order - first) // piece).tolist()
    ranks = {one: rank for rank, one in enumerate(dict.fromkeys(pieces))}
    sizes = [len(some) for some in np.array_split(range(len(ranks)), -(-len(ranks) // window))]
    assert max(sizes) <= window
    assert max(sizes) - min(sizes) <= 1
    windows = np.searchsorted(np.cumsum(sizes), [ranks[one] for one in pieces], "right")
    assert (np.diff(windows) >= 0).all()  # one after the other
    if batch <= min(np.bincount(windows)):
        for start in range(0, n, batch):
            assert len(set(windows[start : start + batch].tolist())) <= 2


def test_a_window_mixes_rows_from_all_over_the_set() -> None:
    n, piece, window = 60_000, 50, 200
    order = windowed_order(n, piece=piece, window=window, rng=np.random.default_rng(0))
    for start in range(0, 54_000, 600):  # batches of a set that is sorted by three classes
        share = np.bincount(order[start : start + 600] // 20_000, minlength=3) / 600
        assert np.abs(share - 1 / 3).max() < 0.15  # of 200 pieces a third each, and of 600 rows
        assert len(set((order[start : start + 600] // piece).tolist())) > 150


def test_pieces_are_cut_elsewhere_in_another_epoch() -> None:
    firsts = set()
    for epoch in range(20):
        rng = np.random.default_rng([5, epoch])
        firsts |= {min(windowed_order(500, piece=50, window=1, rng=rng)[:40].tolist()) % 50}
    assert len(firsts) > 8


def test_only_more_than_four_gibibytes_are_shuffled_in_windows() -> None:
    n, row = 4_097, 2**20  # every row a piece of its own, 1,024 to a window
    assert n * row > 4 * 2**30
    rows = np.concatenate(epoch_batches(n, 64, seed=1, epoch=2, row_bytes=row))
    wanted = windowed_order(n, piece=1, window=1_024, rng=seeds.stream(1, "batches", 2))
    assert rows.tolist() == wanted.tolist()
    assert sorted(rows.tolist()) == list(range(n))
    again = np.concatenate(epoch_batches(n, 64, seed=1, epoch=2, row_bytes=row - 2**10))
    assert again.tolist() == seeds.stream(1, "batches", 2).permutation(n).tolist()


def test_an_image_larger_than_a_window_is_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_WHOLE", 100), ("_WINDOW", 10), ("_PIECE", 5)):
        monkeypatch.setattr(module, name, value)
    rows = np.concatenate(epoch_batches(9, 2, seed=0, epoch=0, row_bytes=12))
    assert sorted(rows.tolist()) == list(range(9))


TRIPLES = st.tuples(SEEDS, SMALL, SMALL)


@settings(deadline=None)
@given(TRIPLES, TRIPLES)
def test_a_stream_is_of_its_purpose_seed_and_place(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    assume(first != second)
    numbers = [
        torch.rand(8, generator=generator(CPU, seed, purpose, *place)).tolist()
        for seed, *place in (first, second)
        for purpose in ("views", "augmentation")
    ]
    assert len(set(map(tuple, numbers))) == 4
    again = generator(CPU, first[0], "views", *first[1:])
    assert torch.rand(8, generator=again).tolist() == numbers[0]
