"""The form of the page: a control for each wish of the domain, made of its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from multigan.core.protocols import Sampler
from multigan.core.signature import Option, options_of
from multigan.report.html_builder import element, joined
from multigan.studio.latent_edits import DIRECTIONS, supports_interpolation

SHOWN = 16  # samples at first
SEEDS = 2**31  # seeds are below


def wishes_of(sampler: Sampler) -> list[Option]:
    """The domain's wishes, without those for which it says that there is nothing to choose."""
    known = choices_of(sampler)
    options = options_of(sampler.domain.sample)
    return [option for option in options if known.get(option.name) != ()]


def choices_of(sampler: Sampler) -> Mapping[str, Sequence[str]]:
    """What the domain says a wish may be, by its name."""
    choices: Mapping[str, Sequence[str]] = getattr(sampler.domain, "option_choices", dict)()
    return {name: tuple(values) for name, values in choices.items()}


def form(sampler: Sampler) -> Markup:
    """The whole form."""
    known = choices_of(sampler)
    fields = [_field(option, known.get(option.name, ())) for option in wishes_of(sampler)]
    parts = [_group("Samples", *_drawn(), *_moves(sampler))]
    if fields:
        parts.append(_group("Wishes", *fields))
    return element("form", *parts, id="form", autocomplete="off")


def _group(name: str, *fields: Markup) -> Markup:
    return element("fieldset", element("legend", name), *fields)


def _drawn() -> list[Markup]:
    """How many, and from which seed."""
    another = element("button", "another", type="button", id="another")
    return [
        _labelled("how many", _number("n", SHOWN, "1", min=1)),
        _labelled("seed", joined(_number("seed", 0, "1", min=0, max=SEEDS - 1), another)),
    ]


def _moves(sampler: Sampler) -> list[Markup]:
    """What moves latents, if anything can."""
    if not supports_interpolation(sampler.generator):
        return [element("p", "The latents of this generator cannot be moved.", class_="quiet")]
    towards = _number("other_seed", 1, "1", min=0, max=SEEDS - 1)
    sliders = [
        _labelled(f"direction {k + 1}", _slider(f"place-{k}", -1)) for k in range(DIRECTIONS)
    ]
    back = element("button", "back to the middle", type="button", id="back")
    return [
        _labelled("towards seed", towards),
        _labelled("how far", _slider("share", 0)),
        *sliders,
        back,
    ]


def _slider(name: str, low: int) -> Markup:
    return element("input", type="range", name=name, min=low, max=1, step="0.01", value=0)


def _number(name: str, value: Any, step: str, **limits: Any) -> Markup:
    return element("input", type="number", name=name, value=value, step=step, **limits)


def _labelled(text: str, control: Markup, help: str = "") -> Markup:
    """A control under its name, with what it means."""
    note = [element("small", help)] if help else []
    return element("label", element("span", text), control, *note)


def _field(option: Option, choices: Sequence[str]) -> Markup:
    """The control of a wish: empty, it is not wished for."""
    name = f"wish-{option.name}"
    shown = f" ({option.shown})" if option.shown and option.type is not bool else ""
    kind = CONTROLS.get(option.type, {"type": "text"})
    if not choices:
        control = element("input", name=name, **kind)
    else:
        offered = element(
            "datalist", *(element("option", value=c) for c in choices), id=f"{name}-choices"
        )
        control = joined(element("input", name=name, list=f"{name}-choices", **kind), offered)
    return _labelled(option.name.replace("_", " ") + shown, control, option.help)


CONTROLS: dict[Any, dict[str, str]] = {
    int: {"type": "number", "step": "1"},
    float: {"type": "number", "step": "any"},
    bool: {"type": "checkbox"},
    Path: {"type": "file"},
}
