"""The form of the page: a control for each sampling option, by its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from multigan.core.option_controls import (
    Range,
    Several,
    SupportsOptionControls,
    SupportsProjection,
    SupportsSamplingTasks,
)
from multigan.core.protocols import Sampler, SupportsOptionChoices
from multigan.core.signature import Option, options_of
from multigan.report.html_elements import element, joined
from multigan.studio.latent_directions import COMPONENTS
from multigan.studio.latent_edits import (
    DIRECTIONS,
    supports_class_edits,
    supports_interpolation,
)

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


def option_controls(sampler: Sampler) -> Mapping[str, Range | Several]:
    """The ranges and sets of values that the domain states, by name.

    A slider begins at the sampler's own default, if it has one.
    """
    if not isinstance(sampler.domain, SupportsOptionControls):
        return {}
    return {
        name: control._replace(default=sampler.defaults[name])
        if isinstance(control, Range) and name in sampler.defaults
        else control
        for name, control in sampler.domain.option_controls().items()
    }


def sampling_tasks(sampler: Sampler) -> Mapping[str, Sequence[str]]:
    """The options of each task that the domain names; none without tasks."""
    domain = sampler.domain
    if not isinstance(domain, SupportsSamplingTasks):
        return {}
    return domain.sampling_tasks(sampler.generator)


def task_choice(sampler: Sampler) -> Markup:
    """One button for each task; the first is chosen."""
    tasks = list(sampling_tasks(sampler))
    buttons = [
        element("button", task, type="button", data_task=task, aria_pressed=str(k == 0).lower())
        for k, task in enumerate(tasks)
    ]
    return element("div", *buttons, id="tasks", role="group", aria_label="task", hidden=not tasks)


def form(sampler: Sampler) -> Markup:
    """The whole form."""
    choices, controls = option_choices(sampler), option_controls(sampler)
    tasks = sampling_tasks(sampler)
    named = {name for options in tasks.values() for name in options}
    boxes = [control for control in controls.values() if isinstance(control, Several)]
    replaced = {control.replaced for control in boxes}
    options = [
        option
        for option in requestable_options(sampler)
        if (not tasks or option.name in named) and option.name not in replaced
    ]
    fields = [
        _field(option, choices.get(option.name, ()), controls.get(option.name), tasks)
        for option in options
    ]
    parts = [_group("Samples", *_counts())]
    if fields:
        parts.append(_group("Options", *fields))
    parts.append(_group("Latents", *_edits(sampler)))
    return element("form", *parts, id="form", autocomplete="off")


def _group(name: str, *fields: Markup) -> Markup:
    return element("fieldset", element("legend", name), *fields)


def _counts() -> list[Markup]:
    """Number of samples and seed."""
    return [
        _labeled("samples", _number("n", INITIAL_SAMPLES, "1", min=1)),
        _labeled("seed", _number("seed", 0, "1", min=0, max=MAX_SEED)),
    ]


def _edits(sampler: Sampler) -> list[Markup]:
    """Controls of latent edits, if latents can be interpolated."""
    if not supports_interpolation(sampler.generator):
        return [element("p", "The latents of this generator cannot be edited.", class_="quiet")]
    start = []
    if isinstance(sampler.domain, SupportsProjection):
        upload = element("input", type="file", name="project", accept="image/*")
        help = "the sample nearest to it comes first, others near it follow; takes some seconds"
        start = [_labeled("begin from an image", upload, help)]
    target = _number("other_seed", 1, "1", min=0, max=MAX_SEED)
    reset = element("button", "reset", type="button", id="reset")
    return [
        *start,
        _labeled("other seed", target),
        _labeled("fraction", _slider("fraction", 0)),
        *_class_edit(sampler),
        _sliders("Components", "what varies most among samples", "component", COMPONENTS),
        _sliders("Directions", "random ones", "position", DIRECTIONS, name="direction"),
        reset,
    ]


def _class_edit(sampler: Sampler) -> list[Markup]:
    """A choice of another class and the way to it; none without classes."""
    if not supports_class_edits(sampler):
        return []
    names = sampler.domain.class_names  # type: ignore[attr-defined]
    classes = [element("option", name, value=k) for k, name in enumerate(names)]
    return [
        _labeled("other class", element("select", *classes, name="class_index")),
        _labeled("class fraction", _slider("class_fraction", 0)),
    ]


def _sliders(title: str, help: str, key: str, count: int, name: str = "") -> Markup:
    """Numbered sliders under a heading."""
    heading = element("p", f"{title}: {help}", class_="quiet")
    fields = [_labeled(f"{name or key} {k + 1}", _slider(f"{key}-{k}", -1)) for k in range(count)]
    return element("div", heading, *fields, role="group", aria_label=title.lower())


def _slider(name: str, low: int) -> Markup:
    return element("input", type="range", name=name, min=low, max=1, step="0.01", value=0)


def _number(name: str, value: Any, step: str, **limits: Any) -> Markup:
    return element("input", type="number", name=name, value=value, step=step, **limits)


def _labeled(text: str, control: Markup, help: str = "", **attributes: Any) -> Markup:
    """A control with its name and help text."""
    note = [element("small", help)] if help else []
    return element("label", element("span", text), control, *note, **attributes)


def _field(
    option: Option,
    choices: Sequence[str],
    control: Range | Several | None,
    tasks: Mapping[str, Sequence[str]],
) -> Markup:
    """The control of a sampling option; empty leaves the option out."""
    name, text = f"option-{option.name}", option.name.replace("_", " ")
    users = [task for task, options in tasks.items() if option.name in options]
    of_tasks = {"data_tasks": "|".join(users)} if users else {}
    if isinstance(control, Several):
        return _boxes(name, text, control, option.help.partition(": ")[0], of_tasks)
    if isinstance(control, Range):
        return _labeled(text, _range(name, control), option.help, **of_tasks)
    default = f" ({option.default_text})" if option.default_text and option.type is not bool else ""
    kind = CONTROLS.get(option.type, {"type": "text"})
    field = element("input", name=name, **kind)
    if choices:
        known = [element("option", value=c) for c in choices]
        values = element("datalist", *known, id=f"{name}-choices")
        field = joined(element("input", name=name, list=f"{name}-choices", **kind), values)
    return _labeled(text + default, field, option.help, **of_tasks)


def _range(name: str, control: Range) -> Markup:
    """A slider and its value; at its default the option is left out."""
    low, high, step, default, text = control
    slider = element(
        "input", type="range", name=name, min=f"{low:g}", max=f"{high:g}", step=f"{step:g}",
        value=f"{default:g}", data_default=f"{default:g}", data_text=text,
    )  # fmt: skip
    return joined(slider, element("output", text or f"{default:g}"))


def _boxes(name: str, text: str, control: Several, help: str, of_tasks: Any) -> Markup:
    """A check box for each value, as one option."""
    boxes = [
        element("label", element("input", type="checkbox", value=value), value)
        for value in control.values
    ]
    heading = element("span", text, id=f"{name}-name")
    note = [element("small", help)] if help else []
    return element(
        "div", heading, element("div", *boxes, class_="boxes"), *note, class_="field", role="group",
        aria_labelledby=f"{name}-name", data_name=name, **of_tasks,
    )  # fmt: skip


CONTROLS: dict[Any, dict[str, str]] = {
    int: {"type": "number", "step": "1"},
    float: {"type": "number", "step": "any"},
    bool: {"type": "checkbox"},
    Path: {"type": "file"},
}
