"""Classes are requested by name or by index; by both only where this is unambiguous."""

import pytest

from multigan.core.protocols import Sampler
from multigan.image.domain import ImageDomain
from tests.image.test_domain import COLOR, GRAY, Shades


def test_a_class_can_be_requested_by_name_or_index():
    domain = ImageDomain(1, 8, 8, ("cat", "dog", "0"))
    sampler = Sampler(domain, Shades(domain))
    for wish, name in {"dog": "dog", "1": "dog", "cat": "cat", "0": "0", "2": "0"}.items():
        samples = sampler.sample(3, label=wish)
        assert {sample.info["label"] for sample in samples} == {name}
    assert {s.info["label"] for s in sampler.sample(2, label=1)} == {"dog"}


def test_an_unknown_class_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"^label bird: no such class; known: cat, dog$"):
        Sampler(ImageDomain(1, 8, 8, ("cat", "dog")), Shades(GRAY)).sample(1, label="bird")
    many = ImageDomain(1, 8, 8, tuple(f"c{k}" for k in range(100)))
    with pytest.raises(ValueError, match=r"known: c0, .*, c19, \.\.\.$"):
        Sampler(many, Shades(GRAY)).sample(1, label="100")
    with pytest.raises(ValueError, match=r"^label 3: these images have no classes$"):
        Sampler(COLOR, Shades(COLOR)).sample(1, label="3")


def drawn(num_classes, wish):
    """The classes of six samples."""
    domain = ImageDomain(1, 8, 8, num_classes)
    return [s.info["label"] for s in Sampler(domain, Shades(domain)).sample(6, labels=wish)]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [("0,1,2", "123"), ("1,2,3", "123"), ("1,2", "12"), ("0", "1"), ("3,3", "3"), ("2,0", "31")],
)
def test_classes_called_by_numbers_are_all_named_or_all_counted(wish, expected):
    assert drawn(("1", "2", "3"), wish) == list(expected * 6)[:6]


def test_a_number_is_the_class_of_that_number_with_or_without_first_zeros():
    months = ("01", "02", "03", "12")
    assert drawn(months, "1,12") == ["01", "12"] * 3
    assert set(drawn(months, "3")) == {"03"} and set(drawn(months, "0")) == {"01"}
    assert set(drawn(("1", "01"), "1")) == {"1"}


def test_a_list_of_names_and_numbers_is_refused_and_the_classes_named():
    told = "labels must be all names or all indices of classes; got 0,3; known: 1, 2, 3$"
    with pytest.raises(ValueError, match=told):
        drawn(("1", "2", "3"), "0,3")
    assert drawn(("cat", "dog"), "dog,0") == ["dog", "cat"] * 3, "no class is called by a number"
    with pytest.raises(ValueError, match=r"label cow: no such class; known: cat, dog$"):
        drawn(("cat", "dog"), "cat,cow")


def test_a_class_with_a_comma_in_its_name_can_be_named():
    classes = ("red", "green", "red, green", "red,green")
    assert set(drawn(classes, "red, green")) == {"red, green"}
    assert set(drawn(classes, "red,green")) == {"red,green"}
    assert drawn(classes, "green,red") == ["green", "red"] * 3
