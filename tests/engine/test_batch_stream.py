"""The stream of real batches: whole epochs, sharding, workers, and starting anywhere."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
import torch
from torch import Tensor

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.engine.batches import BatchStream
from tests.toy_domain import CLASSES, ToyData

KINDS = {  # how a set can be fed
    "in memory": {"in_memory": True},
    "in memory, draws": {"in_memory": True, "draws": True},
    "loaded": {"in_memory": False},
    "loaded, draws": {"in_memory": False, "draws": True},
}
# Python 3.12 warns of forking beside threads; torch's loader does so by design
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def one_cpu(monkeypatch):
    """A machine on which torch calls two workers too many."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)


class Numbered(ToyData):
    """Sample i is (i, 0), and (i, a draw) if the set draws; its label is i % CLASSES."""

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        noise = (
            torch.rand(len(indices), generator=rng)
            if self.is_stochastic
            else torch.zeros(len(indices))
        )
        return Batch(torch.stack([indices.float(), noise], 1), indices % CLASSES)


def take(feed: BatchStream, n: int, start: int = 0) -> list[Batch]:
    return list(itertools.islice(feed.batches(start), n))


def indices_of(batches: list[Batch]) -> list[int]:
    return torch.cat([batch.x[:, 0] for batch in batches]).int().tolist()


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.x, theirs.x) and torch.equal(ours.condition, theirs.condition)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (3, 8), (7, 7), (1, 5)])
def test_epochs_are_permutations_laid_end_to_end(size, batch_size, kind):
    feed = BatchStream(Numbered(size, **KINDS[kind]), seed=0, batch_size=batch_size)
    batches = take(feed, 4 * size)
    assert all(batch.x.shape == (batch_size, 2) for batch in batches)
    seen = indices_of(batches)
    for epoch in range(4 * batch_size):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(size))
    assert feed.epochs(4 * size) == 4 * batch_size


def test_every_epoch_has_an_order_of_its_own():
    seen = indices_of(take(BatchStream(Numbered(20), seed=0, batch_size=20), 3))
    orders = [seen[k : k + 20] for k in (0, 20, 40)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != list(range(20))


def test_the_order_depends_on_the_seed_alone():
    def order(seed: int, **kind: Any) -> list[int]:
        return indices_of(take(BatchStream(Numbered(20, **kind), seed=seed, batch_size=8), 10))

    assert order(0) == order(0) != order(1)
    assert all(order(0, **kind) == order(0) for kind in KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
def test_labels_stay_with_their_samples(kind):
    for batch in take(BatchStream(Numbered(10, **KINDS[kind]), seed=0, batch_size=4), 5):
        assert torch.equal(batch.condition, batch.x[:, 0].long() % CLASSES)


@pytest.mark.parametrize("world_size", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_the_shares_of_the_processes_are_the_batch_of_one(kind, world_size):
    data = Numbered(7, **KINDS[kind])  # smaller than a batch: shares cross epochs
    shares = [
        take(BatchStream(data, seed=3, batch_size=8, rank=rank, world_size=world_size), 9)
        for rank in range(world_size)
    ]
    together = [
        Batch(torch.cat([part.x for part in parts]), torch.cat([part.condition for part in parts]))
        for parts in zip(*shares, strict=True)
    ]
    assert_same(together, take(BatchStream(data, seed=3, batch_size=8), 9))


@pytest.mark.parametrize("kind", KINDS)
def test_starting_at_a_batch_equals_skipping_to_it(kind):
    data = Numbered(7, **KINDS[kind])
    whole = take(BatchStream(data, seed=0, batch_size=4), 12)
    assert_same(take(BatchStream(data, seed=0, batch_size=4), 5, start=7), whole[7:])


@forks
@pytest.mark.parametrize("draws", [False, True])
def test_workers_do_not_change_what_is_fed(draws, one_cpu):
    data = Numbered(7, in_memory=False, draws=draws)
    alone = take(BatchStream(data, seed=0, batch_size=4), 9)
    assert_same(take(BatchStream(data, seed=0, batch_size=4, num_workers=2), 9), alone)
    assert_same(take(BatchStream(data, seed=0, batch_size=4, num_workers=2), 4, start=5), alone[5:])


@pytest.mark.parametrize("in_memory", [False, True])
def test_each_sample_draws_from_seed_epoch_and_index_whoever_loads_it(in_memory):
    data = Numbered(5, in_memory=in_memory, draws=True)
    feed = BatchStream(data, seed=11, batch_size=4)
    found = torch.cat([batch.x for batch in take(feed, 10)])  # 8 epochs of 5
    for place, (index, noise) in enumerate(found.tolist()):
        rng = keyed_rng(11, "sample", place // 5, int(index))
        assert noise == torch.rand(1, generator=rng).item()
    assert len(found[:, 1].unique()) == 40


@forks
@pytest.mark.parametrize("num_workers", [0, 2])
def test_feeding_draws_nothing_from_the_global_stream(num_workers, one_cpu):
    before = torch.get_rng_state()
    take(
        BatchStream(
            Numbered(7, in_memory=False, draws=True), seed=0, batch_size=4, num_workers=num_workers
        ),
        3,
    )
    assert torch.equal(before, torch.get_rng_state())


def test_conditions_may_be_trees():
    class Trees(Numbered):
        def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
            x, label = super().batch(indices, rng)
            return Batch(x, {"label": label, "known": (x, x > 0), "nothing": None})

    for in_memory in (True, False):
        (batch,) = take(BatchStream(Trees(7, in_memory=in_memory), seed=0, batch_size=4), 1)
        assert batch.condition["known"][1].shape == (4, 2) and batch.condition["nothing"] is None
        assert torch.equal(batch.condition["known"][0], batch.x)


def test_an_empty_dataset_is_refused():
    with pytest.raises(ValueError, match="the dataset must have at least one sample"):
        BatchStream(Numbered(0), seed=0, batch_size=4)


@pytest.mark.parametrize(("batch_size", "world_size"), [(0, 1), (-4, 2), (5, 2)])
def test_a_batch_that_the_processes_cannot_share_is_refused(batch_size, world_size):
    with pytest.raises(ValueError, match=f"positive multiple of {world_size}"):
        BatchStream(Numbered(5), seed=0, batch_size=batch_size, world_size=world_size)
