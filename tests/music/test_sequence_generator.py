import pytest
import torch

from multigan.core.protocols import Batch, Generator, SupportsLikelihood
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.music.models import sequence_generator
from multigan.music.models.sequence_generator import SequenceGenerator
from multigan.music.representations.conditioning import (
    ANY_CHORD,
    TONIC_CHORD,
    SupportsSongPlan,
    expand_mask,
    make_conditioning,
    unconditional,
)
from multigan.music.representations.tensors import (
    active_cells,
    binarize,
    from_codes,
    onset_cells,
    slices,
    to_codes,
    total_channels,
)
from multigan.music.representations.voices import BAND, Voice

VOICES = (
    Voice("melody", min_pitch=60, num_pitches=20),
    Voice("piano", kind="polyphonic", min_pitch=40, num_pitches=30, lines=2),
)
N, STEPS, BAR = 3, 32, 16


@pytest.fixture(scope="module", params=[False, True], ids=["", "voice leading"])
def generator(request):
    torch.manual_seed(0)
    sizes = {"width": 16, "line_width": 8, "plan_width": 8}
    network = SequenceGenerator(VOICES, STEPS, BAR, 4, **sizes, voice_leading=request.param)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def latent(generator):
    return generator.sample_latent(N, keyed_rng("latent"))


@pytest.fixture(scope="module")
def music(generator, latent):
    with torch.no_grad():
        return generator.eval()(latent)


def test_music_is_canonical_and_differentiable_in_training(generator, latent, music):
    assert isinstance(generator, Generator) and isinstance(generator, SupportsLikelihood)
    assert music.shape == (N, STEPS, total_channels(VOICES))
    assert torch.equal(binarize(music, VOICES), music) and len(music.unique(dim=0)) == N
    x = generator.train()(latent)
    assert torch.equal(x, music)  # exactly 0 and 1, the same choices
    (x * torch.randn(x.shape, generator=keyed_rng("slope"))).sum().backward()
    touched = [p.grad is not None and bool(p.grad.any()) for p in generator.network.parameters()]
    assert sum(touched) > 0.8 * len(touched)
    generator.zero_grad()


def test_observed_cells_come_back_exactly(generator, music):
    mask = (torch.rand(N, STEPS, 2, generator=keyed_rng("mask")) < 0.5).float()
    given = make_conditioning(music, mask, VOICES)
    other = generator.sample_latent(N, keyed_rng("other"))
    with torch.no_grad():
        x = generator.eval()(other, given)
    cells = expand_mask(given.mask, VOICES) > 0
    assert torch.equal(x[cells], given.values[cells]) and not torch.equal(x, music)
    for a, b, m in zip(*(active_cells(y, VOICES) for y in (x, music)), mask.bool().unbind(-1),
                       strict=True):  # fmt: skip
        assert torch.equal(a[m], b[m])


def test_the_likelihood_of_a_step_adds_up_to_one(generator, music):
    """Over all choices of the last line chosen in the last step, given all else."""
    generator.eval()
    codes = to_codes(music[:1], VOICES)
    choices = VOICES[1].num_pitches + 2
    many = codes.repeat(choices, 1, 1)
    many[:, -1, 1] = torch.arange(choices)  # the upper line of the piano comes last
    x = from_codes(many, VOICES)
    mask = torch.ones(choices, STEPS, 2)
    mask[:, -1, 1] = 0
    given = unconditional(choices, STEPS, VOICES)._replace(mask=mask, values=x)
    keys = torch.zeros(choices, 12)
    keys[:, 4] = 1
    with torch.no_grad():
        network = generator._condition(given._replace(key=keys), choices, x)
        shift = generator._shift(torch.zeros(choices, 1, 12), network)
        tokens = generator._rows(x, torch.ones(choices, STEPS, 3), shift)
        observed = generator._observed(network._replace(values=x[:1].expand_as(x)), shift)
        ending = generator._ending(network)
        plan = generator._plan_of(tokens)
        plan = plan._replace(chords=plan.chords[:1].expand_as(plan.chords),
                             likeness=plan.likeness[:1].expand_as(plan.likeness))  # fmt: skip
        context = generator._context(plan, observed, ending)
        log_p = generator._logits(tokens, context, shift).log_softmax(-1)
    assert torch.equal(shift, torch.full((choices,), 4))
    line = log_p[:, -1, 1].gather(1, generator._choices(tokens)[:, -1, 1, None])
    held = tokens.sounding[0, -2, 1] < generator.rows
    possible = line if held else line[:-1]  # a hold after silence is read as a rest
    assert float(possible.exp().sum()) == pytest.approx(1, abs=1e-4)


def test_sampled_choices_are_those_of_the_likelihood(generator, latent):
    x = generator.eval()(latent)
    given = generator._condition(None, N, x)
    shift = generator._shift(latent.keys, given)
    with torch.no_grad():
        observed, ending = generator._observed(given, shift), generator._ending(given)
        plan = generator._sample_plan(latent, observed, ending, generator._asked(given, shift))
        context = generator._context(plan, observed, ending)
        tokens = generator._sample(context, observed, shift, latent.notes)
        noisy = generator._logits(tokens, context, shift) + latent.notes
    choices = generator._choices(tokens)
    best = noisy.max(-1).values
    torch.testing.assert_close(noisy.gather(-1, choices[..., None])[..., 0], best)


def test_given_cells_are_free_of_cost(generator, music):
    everything = make_conditioning(music, torch.ones(N, STEPS, 2), VOICES)
    nothing = unconditional(N, STEPS, VOICES)
    with torch.no_grad():
        free, given = (
            generator.eval().log_likelihood(Batch(music, c)) for c in (nothing, everything)
        )
    assert free.shape == (N,) and (given > free).all() and (free < 0).all()


def test_the_key_and_the_chords_asked_for_are_followed(generator, latent, monkeypatch):
    assert isinstance(generator, SupportsSongPlan)
    chords = torch.full((N, STEPS), 7)
    key = torch.zeros(N, 12)
    key[:, 2] = 1
    asked = unconditional(N, STEPS, VOICES)._replace(key=key, chords=chords)
    plans = []
    context = generator._context
    monkeypatch.setattr(generator, "_context", lambda *a: plans.append(a[0]) or context(*a))
    with torch.no_grad():
        generator.eval()(latent, asked)
    assert (plans[0].chords == 5).all()  # G in D


def test_transposed_music_is_as_likely(generator):
    """Where no range is reached: all is relative to the key."""
    codes = torch.full((2, STEPS, 3), 0)
    rows = torch.tensor([[7, 9, 11, 12, 14, 16, 18, 7]]).repeat_interleave(4, 1)
    codes[:, :, 0], codes[:, :, 1] = VOICES[0].hold, VOICES[1].hold
    codes[:, ::4, 0] = rows[:, ::4]
    codes[:, ::4, 1] = rows[:, ::4] + 3
    codes[:, :, 2] = VOICES[1].rest
    codes[1, ::4, :2] -= 2
    x = from_codes(codes, VOICES)
    inside = torch.zeros(2, 3, generator.rows)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "_allowed", lambda shift: inside)
        one, other = generator.eval().log_likelihood(Batch(x, unconditional(2, STEPS, VOICES)))
    assert float(one) == pytest.approx(float(other), rel=1e-4)


def test_a_batch_is_its_samples(generator, latent, music):
    with torch.no_grad():
        for i in range(N):
            alone = generator.eval()(tree_map(lambda leaf, i=i: leaf[i : i + 1], latent))
            assert torch.equal(alone[0], music[i])


def test_a_line_stays_inside_its_range(generator, music):
    for voice, block in zip(VOICES, slices(VOICES), strict=True):
        lines = 1 if voice.kind == "monophonic" else voice.lines
        assert music[..., block].unflatten(-1, (lines, -1)).shape[-1] == voice.num_pitches + 2


def test_drums_are_refused():
    with pytest.raises(ValueError, match="must have pitched voices; got drums"):
        SequenceGenerator(BAND)


def biased(generator, monkeypatch, **values):
    for name, value in values.items():
        monkeypatch.setattr(generator, name, value)


def test_a_lower_temperature_of_pitches_leaves_the_rates_of_onsets_rests_and_holds(
    generator, monkeypatch
):
    logits = torch.randn(5, generator.rows + 2, generator=keyed_rng("cool"), dtype=torch.float64)
    silent = generator._observed(
        unconditional(5, STEPS, generator.voices), torch.zeros(5, dtype=torch.long)
    ).tokens.at(0)
    like = type(silent)(silent.sounding[:, 0], silent.onset[:, 0])
    biased(generator, monkeypatch, pitch_temperature=0.5)
    before, after = logits.softmax(-1), generator._biased(logits, like).softmax(-1)
    assert torch.allclose(before[:, -2:], after[:, -2:])
    squared = before[:, :-2] ** 2
    share = before[:, :-2].sum(-1, keepdim=True) / squared.sum(-1, keepdim=True)
    assert torch.allclose(after[:, :-2], squared * share)


def test_a_bar_repeats_the_one_that_the_plan_names_with_a_large_bonus(
    generator, latent, monkeypatch
):
    biased(generator, monkeypatch, likeness_bonus=1e3)
    after_one_bar = latent._replace(likeness=1e6 * torch.eye(4)[1].expand_as(latent.likeness))
    like_none = latent._replace(likeness=1e6 * torch.eye(4)[0].expand_as(latent.likeness))
    with torch.no_grad():
        first, second = onset_cells(generator.eval()(after_one_bar), VOICES)[0].split(BAR, dim=1)
        other = onset_cells(generator(like_none), VOICES)[0].split(BAR, dim=1)
    assert torch.equal(first, second) and not torch.equal(*other)


def test_a_pitch_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="pitch_temperature must be greater than 0; got 0"):
        SequenceGenerator(VOICES, STEPS, BAR, 4, pitch_temperature=0)


def test_a_tonic_that_is_asked_for_is_the_major_or_the_minor_one(generator):
    latent = generator.sample_latent(64, keyed_rng("ends"))
    given = generator._condition(unconditional(64, STEPS, VOICES), 64, latent.notes)
    shift = torch.zeros(64, dtype=torch.long)
    observed, ending = generator._observed(given, shift), generator._ending(given)

    def last_chords(chord):
        asked = torch.full((64, STEPS), ANY_CHORD)
        asked[:, -BAR // 2 :] = chord
        asked = generator._asked(given._replace(chords=asked), shift)
        return set(generator._sample_plan(latent, observed, ending, asked).chords[:, -1].tolist())

    tonics = {0, 12 + 9}  # C major and A minor
    assert last_chords(TONIC_CHORD) == tonics
    assert not last_chords(ANY_CHORD) <= tonics
    assert last_chords(5) == {5}


def test_parallel_fifths_cost_the_penalty_also_where_a_hold_makes_them():
    voices = (
        Voice("high", min_pitch=60, num_pitches=24),
        Voice("low", min_pitch=48, num_pitches=24),
    )
    options = {"width": 8, "line_width": 8, "plan_width": 8, "voice_leading": True}
    generator = SequenceGenerator(voices, STEPS, BAR, 4, **options, parallels_penalty=2.0)
    leading = generator.voice_leading
    free, strict = leading.bias_tables(), leading.bias_tables(generator.parallels_penalty)
    low = generator.lowest

    def cost(line, between, before, last, now):
        """What the penalty takes from each onset, and from the hold: pitches are MIDI pitches."""
        rows = [torch.tensor([[p - low if p else generator.rows for p in v]])
                for v in (before, last, now)]  # fmt: skip
        led = [leading.of_line(b, line, torch.tensor([between]), *rows)
               for b in (free, strict)]  # fmt: skip
        taken = (led[0] - led[1])[0].detach()
        return {p + low: float(taken[p]) for p in taken[:-1].nonzero()[:, 0].tolist()}, taken[-1]

    octaves = [p for p in range(low, low + generator.rows) if p % 12 == 74 % 12]
    fifth, moved = (67, 60), (None, 67)  # G over C; C goes to G: D would be parallel fifths
    onsets, hold = cost(0, 1, fifth, (None, None), moved)
    assert onsets == {p: 2.0 for p in octaves} and hold == 0
    assert cost(1, 1, fifth, (None, None), (74, None))[0] == {
        p: 2.0 for p in range(low, low + generator.rows) if p % 12 == 67 % 12
    }
    assert cost(0, 1, (64, 60), (None, None), moved)[0] == {}  # a third
    assert cost(0, 1, fifth, (None, None), (None, 60))[0] == {}  # the other does not move
    onsets, hold = cost(0, 0, (74, 60), fifth, moved)  # D since before the beat: holding it
    assert hold == 2.0 and onsets == {p: 2.0 for p in octaves}
    assert cost(0, 1, (74, 60), fifth, moved)[1] == 0  # between beats


def test_a_penalty_needs_voice_leading():
    with pytest.raises(ValueError, match="parallels_penalty must be 0 without voice_leading"):
        SequenceGenerator(VOICES, STEPS, BAR, 4, parallels_penalty=1.0)


def test_an_ending_sounds_in_its_last_chord_alone(generator, latent):
    chords = torch.full((N, STEPS), ANY_CHORD)
    chords[:, BAR:] = TONIC_CHORD  # of the last bar, whose second half is the last chord
    key = torch.zeros(N, 12)
    key[:, 0] = 1  # C major or A minor
    asked = unconditional(N, STEPS, VOICES)._replace(chords=chords, key=key)
    pitches = torch.cat([v.min_pitch + torch.arange(v.num_pitches) for v in VOICES])

    def are_triads(ending, steps):
        with torch.no_grad():
            x = generator.eval()(latent, asked._replace(ending=torch.full((N, 1), ending)))
        sounding = torch.cat(active_cells(x, VOICES), dim=-1)[:, steps].sum(1)
        found = [set((pitches[row > 0] % 12).tolist()) for row in sounding]
        return [any(classes <= triad for triad in ({0, 4, 7}, {9, 0, 4})) for classes in found]

    last, before = slice(STEPS - BAR // 2, STEPS), slice(STEPS - BAR, STEPS - BAR // 2)
    assert all(are_triads(1.0, last))
    assert not all(are_triads(1.0, before)) and not all(are_triads(0.0, last))


def test_the_gradient_of_training_is_that_of_the_choices_that_are_sampled(monkeypatch, latent):
    torch.manual_seed(0)
    options = {"pitch_temperature": 0.7, "likeness_bonus": 1.0, "parallels_penalty": 20.0}
    sizes = {"width": 16, "line_width": 8, "plan_width": 8}
    generator = SequenceGenerator(VOICES, STEPS, BAR, 4, **sizes, **options, voice_leading=True)
    with torch.no_grad():
        generator.network.out.bias.zero_()  # neither rests nor holds are more likely than a row
        generator.voice_leading.parallel_bias.normal_()
    seen = []

    def record(hard, soft):
        seen.append((hard, soft))
        return hard

    monkeypatch.setattr(sequence_generator, "straight_through", record)
    chords = torch.full((N, STEPS), TONIC_CHORD)
    asked = unconditional(N, STEPS, VOICES)._replace(chords=chords, ending=torch.ones(N, 1))
    generator.train()(latent, asked)
    ((hard, soft),) = seen
    torch.testing.assert_close((hard * soft).sum(-1), soft.max(-1).values)
