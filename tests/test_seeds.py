"""Streams of random numbers: the same for the same purpose, independent for others."""

from __future__ import annotations

import itertools

import numpy as np

from aeclust import seeds


def test_a_stream_is_the_same_each_time() -> None:
    first, second = (seeds.stream(7, "batches", 3).random(4) for _ in range(2))
    assert np.array_equal(first, second)
    assert seeds.number(7, "batches", 3) == seeds.number(7, "batches", 3)


def test_seeds_purposes_and_places_have_streams_of_their_own() -> None:
    numbers = [
        seeds.number(seed, purpose, *place)
        for seed in (0, 1, 2**32 - 1)
        for purpose in ("weights", "batches", "views")
        # a place of zeros is another one than none
        for place in ((), (0,), (0, 0), (1,), (0, 1), (1, 0))
    ]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 2**32 for number in numbers)


def test_streams_of_two_purposes_do_not_go_together() -> None:
    draws = [seeds.stream(0, p).normal(size=4000) for p in ("weights", "batches", "augmentation")]
    for first, second in itertools.combinations(draws, 2):
        # five standard errors of a correlation of independent numbers
        assert abs(float(np.corrcoef(first, second)[0, 1])) < 5 / 4000**0.5
