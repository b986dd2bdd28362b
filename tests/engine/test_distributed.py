"""Two processes with half of each batch do what one with all of it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from multigan.engine.batches import BatchStream
from multigan.engine.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    PeerFailed,
    ProcessLost,
    detect_lost_peers,
    init_distributed,
)
from multigan.engine.objective import Objective
from multigan.engine.sync_batch_norm import sync_batch_norm
from multigan.engine.trainer import AdversarialTrainer
from tests.engine.distributed_losses import (
    FAST,
    GAMES,
    WHOLE,
    WORLD_SIZE,
    Results,
    games_of,
    played_in,
)
from tests.run_helpers import DOMAINS
from tests.toy_domain import ToyData, toy_recipe

TOYS = [
    "everything at once",
    "a layer without a gradient",
    "an update that is not finite",
    "a likelihood stage",
    "augmented pictures",
]


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> dict[str, Any]:
    """The games of the fast suite with one process, and with two that are started once for all."""
    return play(tmp_path_factory.mktemp("shared"), FAST)


@pytest.fixture(scope="module")
def played_whole(tmp_path_factory) -> dict[str, Any]:
    """Every game of every domain."""
    return play(tmp_path_factory.mktemp("whole"), WHOLE)


def play(folder: Path, extent: str) -> dict[str, Any]:
    found = played_in(folder, extent)
    return {"alone": found[1][0]["games"], "shared": found[WORLD_SIZE]}


def assert_alike(one: Results, other: Results, tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        found, wanted = other[name].double(), value.double()
        assert torch.allclose(found, wanted, tolerance, tolerance, equal_nan=True), name


@pytest.mark.parametrize(
    ("domain", "game"), [(domain, game) for domain in DOMAINS for game in games_of(domain, FAST)]
)
def test_two_processes_take_the_steps_of_one(domain, game, played):
    assert_same_steps(f"{domain} / {game}", played)


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("domain", DOMAINS)
def test_two_processes_take_the_steps_of_one_in_every_game(domain, game, played_whole):
    assert_same_steps(f"{domain} / {game}", played_whole)


def assert_same_steps(name: str, played: dict[str, Any]) -> None:
    one, two = played["alone"][name], played["shared"][0]["games"][name]
    assert any(key.startswith("gradient") for key in one)
    assert_alike(one, two, 1e-9)


@pytest.mark.parametrize("name", TOYS)
def test_two_processes_do_everything_else_as_one(name, played):
    one, two = played["alone"][name], played["shared"][0]["games"][name]
    assert_alike(one, two, 1e-9)
    assert (name == "an update that is not finite") == bool(one["skipped"])
    assert ("step 1 loss/likelihood" in one) == (name == "a likelihood stage")


def test_both_processes_have_the_same_bits(played):
    first, second = (found["games"] for found in played["shared"])
    for name, results in first.items():
        assert_alike(results, second[name], 0.0)


def test_they_agree_whatever_one_of_them_has(played):
    first, second = (found["talk"] for found in played["shared"])
    assert first["largest"] == second["largest"] == 3
    assert second["first"]["rank"] == 0 and second["first"]["tensor"].tolist() == [0, 1, 2]
    assert (first["together"], second["together"]) == (0, 1)
    assert (first["failed first"], second["failed first"]) == ("ZeroDivisionError", "PeerFailed")
    assert (first["failed together"], second["failed together"]) == ("PeerFailed", "ValueError")
    assert first["drifted"] == second["drifted"] == "ReplicasDiverged"
    for found in (first, second):
        assert found["gathered"]["rows"].tolist() == [[0], [1]]
        assert found["gathered"]["yes"].tolist() == [True, True]


def test_each_process_has_a_stream_of_dropout_that_the_checkpoint_keeps(played):
    for found in (shared["talk"] for shared in played["shared"]):
        assert found["restored"] and len(found["streams"]) == WORLD_SIZE
        assert not torch.equal(*found["streams"])


# without other processes

SHARES = [DistributedContext(rank, 2) for rank in range(2)]


def test_the_rows_of_the_processes_are_those_of_the_batch():
    drawn = {"x": torch.arange(8), "more": (torch.arange(8) > 3, None)}
    shares = [group.local_shard(drawn) for group in SHARES]
    assert [share["x"].tolist() for share in shares] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert shares[1]["more"][1] is None
    assert [group.local_shard(torch.arange(8), sides=2).tolist() for group in SHARES] == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
    ]
    for group in SHARES:
        own = torch.arange(6.0).view(2, 3)
        for sides in (1, 2):
            everyone = group.tile(own, sides)
            assert everyone.shape == (4, 3) and torch.equal(group.local_shard(everyone, sides), own)


def test_micro_batches_hold_the_same_samples_for_any_number_of_processes():
    def micros(rank: int, world_size: int) -> tuple[Tensor, ...]:
        place = {"rank": rank, "world_size": world_size, "micro_batches": 3}
        feed = BatchStream(ToyData(17), seed=0, batch_size=12, **place)
        return feed.sample_indices(4)[1].tensor_split(3)

    whole = micros(0, 1)
    halves = [torch.cat(pair) for pair in zip(micros(0, 2), micros(1, 2), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        (
            {"batch_size": 9},
            "batch_size must be a positive multiple of 2, the number of processes; got 9",
        ),
        (
            {"batch_size": 6, "gradient_accumulation_steps": 3, "penalties": {}, "steps": 2}
            | {"batch_size": 9},
            "batch_size must be a positive multiple of 6, the number of processes times 3 micro",
        ),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused_in_one_line(changes, answer):
    with pytest.raises(ValueError) as caught:
        AdversarialTrainer(toy_recipe(**changes), processes=SHARES[0])
    assert answer in str(caught.value) and "\n" not in str(caught.value)


def test_a_discriminator_that_couples_the_batch_is_refused_in_one_line():
    network = nn.Linear(2, 1)
    network.uses_batch_statistics = True  # type: ignore[assignment]
    with pytest.raises(ValueError, match="must be trained in one process; got 2") as caught:
        Objective(network, "hinge", {}, processes=SHARES[1])
    assert "\n" not in str(caught.value)
    Objective(network, "hinge", {})


def test_one_process_is_left_as_it_is():
    network = nn.Sequential(nn.BatchNorm1d(2))
    sync_batch_norm(network, SINGLE_PROCESS)
    assert "forward" not in vars(network[0])
    x = torch.randn(3, 2, requires_grad=True)
    assert (
        SINGLE_PROCESS.differentiable_mean(x) is x
        and SINGLE_PROCESS.all_gather(x) is x
        and SINGLE_PROCESS.all_reduce_mean([x])[0] is x
    )
    assert (
        SINGLE_PROCESS.local_shard(x) is x
        and SINGLE_PROCESS.tile(x) is x
        and SINGLE_PROCESS.all_reduce_max(2) == 2
    )
    assert torch.equal(SINGLE_PROCESS.global_mean(x), x.mean()) and torch.equal(
        SINGLE_PROCESS.all_reduce_sum(x), x.sum(0)
    )
    with init_distributed() as processes:
        assert processes is SINGLE_PROCESS and not torch.distributed.is_initialized()


def test_who_is_told_elsewhere_says_nothing():
    assert str(PeerFailed()) == "" and PeerFailed.exit_status == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("[/a/gloo/gloo/transport/tcp/pair.cc:537] Read error: reset"), ProcessLost),
        (distributed.DistBackendError("NCCL communicator was aborted"), ProcessLost),
        (RuntimeError("[enforce fail at /a/gloo/transport/tcp/pair.cc:4] 8 vs 4"), RuntimeError),
        (RuntimeError("not enough memory: you tried to allocate 4 bytes"), RuntimeError),
        (NotImplementedError("Could not run 'c10d::broadcast_'"), NotImplementedError),
    ],
)
def test_only_a_broken_connection_is_called_a_lost_process(error, raised):
    with pytest.raises(raised) as found, detect_lost_peers():
        raise error
    assert type(found.value) is raised
