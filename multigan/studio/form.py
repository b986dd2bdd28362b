"""The form of the page: a control for each sampling option, by its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from multigan.core.protocols import Sampler, SupportsOptionChoices
from multigan.core.signature import Option, options_of
from multigan.report.html_elements import element, joined
from multigan.studio.latent_edits import DIRECTIONS, supports_interpolation

INITIAL_SAMPLES = 16
MAX_SEED = 2**31 - 1


def requestable_options(sampler: Sampler) -> list[Option]:
    """The sampling options of the domain, without those that have no choice."""
    choices = option_choices(sampler)
    options = options_of(sampler.domain.sample)
    return [option for option in options if choices.get(option.name) != ()]


def option_choices(sampler: Sampler) -> Mapping[str, Sequence[str]]:
    """The closed sets of values of sampling options, by name."""
    if not isinstance(sampler.domain, SupportsOptionChoices):
        return {}
    return {name: tuple(values) for name, values in sampler.domain.option_choices().items()}


def form(sampler: Sampler) -> Markup:
    """The whole form."""
    choices = option_choices(sampler)
    fields = [
        _field(option, choices.get(option.name, ())) for option in requestable_options(sampler)
    ]
    parts = [_group("Samples", *_counts(), *_edits(sampler))]
    if fields:
        parts.append(_group("Options", *fields))
    return element("form", *parts, id="form", autocomplete="off")


def _group(name: str, *fields: Markup) -> Markup:
    return element("fieldset", element("legend", name), *fields)


def _counts() -> list[Markup]:
    """Number of samples and seed."""
    another = element("button", "another", type="button", id="another")
    return [
        _labeled("samples", _number("n", INITIAL_SAMPLES, "1", min=1)),
        _labeled("seed", joined(_number("seed", 0, "1", min=0, max=MAX_SEED), another)),
    ]


def _edits(sampler: Sampler) -> list[Markup]:
    """Controls of latent edits, if latents can be interpolated."""
    if not supports_interpolation(sampler.generator):
        return [element("p", "The latents of this generator cannot be edited.", class_="quiet")]
    target = _number("other_seed", 1, "1", min=0, max=MAX_SEED)
    sliders = [
        _labeled(f"direction {k + 1}", _slider(f"position-{k}", -1)) for k in range(DIRECTIONS)
    ]
    reset = element("button", "reset", type="button", id="reset")
    return [
        _labeled("other seed", target),
        _labeled("fraction", _slider("fraction", 0)),
        *sliders,
        reset,
    ]


def _slider(name: str, low: int) -> Markup:
    return element("input", type="range", name=name, min=low, max=1, step="0.01", value=0)


def _number(name: str, value: Any, step: str, **limits: Any) -> Markup:
    return element("input", type="number", name=name, value=value, step=step, **limits)


def _labeled(text: str, control: Markup, help: str = "") -> Markup:
    """A control with its name and help text."""
    note = [element("small", help)] if help else []
    return element("label", element("span", text), control, *note)


def _field(option: Option, choices: Sequence[str]) -> Markup:
    """The control of a sampling option; empty leaves the option out."""
    name = f"option-{option.name}"
    default = f" ({option.default_text})" if option.default_text and option.type is not bool else ""
    kind = CONTROLS.get(option.type, {"type": "text"})
    if not choices:
        control = element("input", name=name, **kind)
    else:
        values = element(
            "datalist", *(element("option", value=c) for c in choices), id=f"{name}-choices"
        )
        control = joined(element("input", name=name, list=f"{name}-choices", **kind), values)
    return _labeled(option.name.replace("_", " ") + default, control, option.help)


CONTROLS: dict[Any, dict[str, str]] = {
    int: {"type": "number", "step": "1"},
    float: {"type": "number", "step": "any"},
    bool: {"type": "checkbox"},
    Path: {"type": "file"},
}
