"""Labels come from tables next to images, by the names of the files; folders that divide do not."""

import json
import warnings

import pytest

from multigan.image.datasets import sources
from multigan.image.formats.decode import Size
from multigan.image.formats.folder import scan_folder
from multigan.image.formats.labels import folder_labels
from tests.image.image_factory import content, folder_of, random_image

SIZE = Size(8, 8)
NAMES = ["cat", "dog", "cow"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()


@pytest.fixture
def root(tmp_path):
    """12 images without folders: 0000.png, 0001.png, ..."""
    return folder_of(tmp_path / "set", 12, classes=())


def found(root):
    scan = scan_folder(str(root), SIZE)
    images = scan.images
    labels = None if images.labels is None else images.labels.tolist()
    return labels, images.class_names, scan


def csv(header, row, count=12):
    return "\n".join([*header, *(row(k) for k in range(count))]) + "\n"


def name(k):
    return f"{k:04d}.png"


TABLES = {
    "labels.csv": csv(["filename,label"], lambda k: f"{name(k)},{NAMES[k % 3]}"),
    "train.csv": csv(["id,breed"], lambda k: f"{k:04d},{NAMES[k % 3]}"),  # ids without suffix
    "data.csv": csv([], lambda k: f"{name(k)},{NAMES[k % 3]}"),  # no header
    "semicolon.csv": csv(["image;class"], lambda k: f"images\\{name(k)};{NAMES[k % 3]}"),
    "list.tsv": csv(["x\tpath\tcategory"], lambda k: f"{k}\t./{name(k)}\t{NAMES[k % 3]}"),
    "annotations.txt": csv([], lambda k: f"{name(k)} {NAMES[k % 3]}"),
    "metadata.csv": csv(["file_name,text,label"], lambda k: f'{name(k)},"a, b",{NAMES[k % 3]}'),
    "metadata.jsonl": "".join(
        json.dumps({"file_name": name(k), "label": NAMES[k % 3]}) + "\n" for k in range(12)
    ),
    "labels.json": json.dumps({name(k): NAMES[k % 3] for k in range(12)}),
    "windows.csv": csv(["image_path,label"], lambda k: f"C:\\imgs\\{k:04d}.PNG,{NAMES[k % 3]}"),
    "numbers.csv": csv(["id,label"], lambda k: f"{k},{NAMES[k % 3]}"),  # without first zeros
    "onehot.csv": csv(
        ["image,cat,dog,cow"],
        lambda k: f"{k:04d}," + ",".join(str(float(k % 3 == j)) for j in range(3)),
    ),
}


@pytest.mark.parametrize("file", TABLES)
def test_a_table_with_the_names_of_files_gives_the_classes(file, root):
    (root / file).write_text(TABLES[file])
    labels, names, scan = found(root)
    assert names == ("cat", "cow", "dog")
    assert labels == [names.index(NAMES[k % 3]) for k in range(12)]
    assert scan.notes == (f"the classes are those of {file}",) and not scan.skip_summary()


@pytest.mark.parametrize(
    ("encoding", "names"),
    [("cp1251", ("кот", "пёс")), ("latin-1", ("bête", "chêne")), ("utf-16", ("кот", "dog"))],
)
def test_a_table_in_an_old_encoding_keeps_the_names_of_classes(encoding, names, root):
    table = csv(["filename,label"], lambda k: f"{name(k)},{names[k % 2]}")
    (root / "labels.csv").write_bytes(table.encode(encoding))
    assert found(root)[1] == tuple(sorted(names))


def test_none_is_the_name_of_a_class_and_na_is_no_label(root):
    grades = ["none", "mild", "severe"]
    table = csv(["filename,grade"], lambda k: f"{name(k)},{grades[k % 3] if k else 'NA'}")
    (root / "labels.csv").write_text(table)
    labels, names, _ = found(root)
    assert names == ("mild", "none", "severe") and len(labels) == 11
    assert labels == [names.index(grades[k % 3]) for k in range(1, 12)]


def test_a_column_of_labels_that_are_names_of_files_names_no_files(root):
    (root / "labels.csv").write_text(csv(["id,label"], lambda k: f"{k},{k % 3}"))
    assert found(root)[:2] == ([k % 3 for k in range(12)], ("0", "1", "2"))


def test_a_table_in_parquet_gives_the_classes(root):
    table = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"file_name": [name(k) for k in range(12)], "label": [k % 2 for k in range(12)]}
    parquet.write_table(table.table(columns), root / "metadata.parquet")
    assert found(root)[:2] == ([0, 1] * 6, ("0", "1"))


@pytest.mark.parametrize("rows", ["pairs", "object"])
def test_the_folders_of_stylegan_are_no_classes_and_its_labels_are(rows, tmp_path):
    for part in range(3):
        folder_of(tmp_path / "set" / f"{part:05d}", 5, classes=(), start=5 * part)
    files = [f"{k // 5:05d}/{name(k)}" for k in range(15)]
    pairs = [[file, k % 2] for k, file in enumerate(files)]
    (tmp_path / "set" / "dataset.json").write_text(
        json.dumps({"labels": pairs if rows == "pairs" else dict(pairs)})
    )
    labels, names, _ = found(tmp_path / "set")
    assert names == ("0", "1") and labels == [k % 2 for k in range(15)]
    (tmp_path / "set" / "dataset.json").write_text('{"labels": null}')
    assert found(tmp_path / "set")[:2] == (None, ())


@pytest.mark.parametrize(
    "files",
    [
        [f"{k // 5:05d}/img{k:08d}.png" for k in range(15)],  # StyleGAN
        [f"{k // 5 * 1000:05d}/{k // 5 * 1000 + k % 5:05d}.png" for k in range(15)],  # FFHQ
        [f"{k % 5:03d}/{1000 * (k + 1) + k % 5}.jpg" for k in range(15)],  # last digits
        [f"{k % 5:02x}/{k % 5:02x}{k:06x}ab.png" for k in range(15)],  # hashes
        [f"part_{k % 3}/x{k}.png" for k in range(9)],
        [f"images_{k % 3:03d}/images/x{k}.png" for k in range(9)],
        [f"train/batch{k % 3}/{k}.png" for k in range(9)],
    ],
)
def test_folders_that_only_divide_the_files_are_no_classes(files):
    labels = folder_labels(files)
    assert labels.numbers is None and "only divide the files" in labels.note


@pytest.mark.parametrize(
    "files",
    [
        [f"{k % 5:05d}/{k % 5:05d}_{k:05d}.ppm" for k in range(15)],  # GTSRB: class _ track
        [f"{k % 5:03d}/{k}.png" for k in range(15)],
        [f"{k % 10}/{k}.png" for k in range(30)],
        [f"n{k % 3:08d}/n{k % 3:08d}_{k}.JPEG" for k in range(9)],  # ImageNet
        [f"{n}/{n}{k}.png" for k in range(3) for n in NAMES],
        [f"part_a/{k}.png" for k in range(3)] + [f"part_b/{k}.png" for k in range(3)],
    ],
)
def test_numbered_classes_stay_classes(files):
    assert folder_labels(files).numbers is not None


def test_images_without_a_row_have_no_label_and_are_left_out_and_counted(root):
    rows = csv(["file,label"], lambda k: f"{name(k)},{NAMES[k % 3] if k else ''}", 11)
    (root / "labels.csv").write_text(rows)
    labels, _, scan = found(root)
    assert len(labels) == len(scan.images.pixels) == 10
    assert "2 of 12 images have no label and are left out" in scan.notes
    assert "left out   2  no label: 0000.png, 0011.png" in scan.counts.lines()


def test_rows_that_disagree_and_minus_one_are_no_labels(root):
    rows = csv(["file,label"], lambda k: f"{name(k)},{-1 if k == 3 else k % 2}")
    (root / "labels.csv").write_text(rows + f"{name(0)},1\n")
    labels, names, _ = found(root)
    assert names == ("0", "1") and labels == [1, 0, 0, 1, 0, 1, 0, 1, 0, 1]


def test_folders_stay_the_classes_unless_a_table_labels_every_image(tmp_path):
    root = folder_of(tmp_path / "set", 24)
    rows = csv(["file,label"], lambda k: f"{name(k)},{NAMES[k % 3]}", 12)
    (root / "labels.csv").write_text(rows)
    _, names, scan = found(root)
    assert names == ("cat", "dog")
    assert "labels.csv labels 12 of 24 images: not used" in scan.notes
    (root / "labels.csv").write_text(csv(["file,label"], lambda k: f"{name(k)},{NAMES[k % 3]}", 24))
    assert found(root)[1] == ("cat", "cow", "dog")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sample_submission.csv", csv(["id,label"], lambda k: f"{name(k)},0")),
        ("boxes.csv", csv(["file,x,y1"], lambda k: f"{name(k)},{k},{k * k}")),
        ("captions.csv", csv(["file,label"], lambda k: f"{name(k)},text {k}")),
        ("other.csv", csv(["file,label"], lambda k: f"elsewhere{k}.png,{k % 2}")),
        ("labels.json", "[1, 2"),
        ("metadata.jsonl", "{broken\n"),
    ],
)
def test_a_table_without_labels_gives_no_classes_and_no_error(file, text, root):
    (root / file).write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels, names, scan = found(root)
    assert (labels, names) == (None, ()) and len(scan.images.pixels) == 12


def test_names_are_compared_in_one_form_of_unicode(tmp_path):
    """A table in NFC names files in NFD, as a Mac writes them."""
    root = tmp_path / "set"
    root.mkdir()
    for k in range(12):
        (root / f"cafe\u0301{k}.png").write_bytes(content(random_image(k)))
    rows = csv(["file,label"], lambda k: f"caf\u00e9{k}.png,{k % 2}")
    (root / "labels.csv").write_text(rows, encoding="utf-8")
    assert found(root)[1] == ("0", "1")


@pytest.mark.parametrize("damaged", ["[1, 2]\n5\n", '{"file_name": "0000.png", "label": '])
def test_a_table_that_cannot_be_read_costs_no_image(damaged, root):
    (root / "train.jsonl").write_text(damaged)
    assert found(root)[0] is None


def test_a_damaged_parquet_file_costs_no_image(root):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"file_name": [name(k) for k in range(12)], "label": NAMES * 4})
    parquet.write_table(table, root / "metadata.parquet")
    content = bytearray((root / "metadata.parquet").read_bytes())
    content[4:200] = bytes(196)
    (root / "metadata.parquet").write_bytes(content)
    labels, _, scan = found(root)
    assert labels is None and any("metadata.parquet" in note for note in scan.notes)


def test_a_table_of_a_few_images_discards_no_others(tmp_path):
    root = folder_of(tmp_path / "more", 40, classes=())
    rows = [f"{name(k)},{NAMES[k % 2]}" for k in range(12)]
    (root / "labels.csv").write_text("\n".join(["file,label", *rows]))
    labels, _, scan = found(root)
    assert labels is None and any("labels 12 of 40 images: not used" in n for n in scan.notes)


def test_a_table_whose_rows_disagree_is_not_used(root):
    several = [f"{name(k)},{label}" for k in range(3) for label in NAMES[:2]]
    rows = several + [f"{name(k)},{NAMES[k % 2]}" for k in range(3, 12)]
    (root / "labels.csv").write_text("\n".join(["file,class", *rows]))
    labels, _, scan = found(root)
    assert labels is None and any("3 images several labels" in note for note in scan.notes)


@pytest.mark.parametrize("value", ["{k}", "{k}.5", "a{k}"])
def test_values_that_all_differ_are_no_classes(value, root):
    rows = [f"{name(k)},{value.format(k=k)}" for k in range(12)]
    (root / "labels.csv").write_text("\n".join(["file,label", *rows]))
    labels, _, scan = found(root)
    assert labels is None and any("no column of labels" in note for note in scan.notes)


def test_a_line_separator_inside_a_caption_ends_no_line(root):
    rows = [{"file_name": name(k), "text": "a\u2028b", "label": NAMES[k % 3]} for k in range(12)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (root / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert found(root)[1] == ("cat", "cow", "dog")


@pytest.mark.parametrize("header", ["P1_file,label", "Pfad,label", "BMI_file,label"])
def test_a_table_that_begins_like_an_image_format_is_a_table(header, root):
    rows = [f"{name(k)},{NAMES[k % 3]}" for k in range(12)]
    (root / "labels.csv").write_text("\n".join([header, *rows]))
    assert found(root)[1] == ("cat", "cow", "dog")


def test_annotations_of_coco_are_labels_where_each_image_has_one_category(root):
    images = [{"id": 70 + k, "file_name": name(k)} for k in range(12)]
    categories = [{"id": 5 + k, "name": kind} for k, kind in enumerate(NAMES)]
    boxes = [{"image_id": 70 + k % 12, "category_id": 5 + k % 3, "bbox": [0]} for k in range(24)]
    (root / "annotations").mkdir()
    file = root / "annotations" / "instances_train.json"
    tree = {"images": images, "categories": categories, "annotations": boxes}
    file.write_text(json.dumps(tree))
    labels, names, _ = found(root)
    assert [names[k] for k in labels] == [NAMES[k % 3] for k in range(12)]
    more = [{"image_id": 70 + k, "category_id": 5 + (k + 1) % 3} for k in range(12)]
    file.write_text(json.dumps(tree | {"annotations": boxes + more}))
    labels, _, scan = found(root)
    assert labels is None and "several labels" in " ".join(scan.notes)


@pytest.mark.parametrize("suffix", ["txt", "xml", "json"])
def test_a_file_for_each_image_is_said_to_be_not_read(root, suffix):
    (root / "labels").mkdir()
    for k in range(12):
        (root / "labels" / f"{k:04d}.{suffix}").write_text("0 0.5 0.5 1 1")
    labels, _, scan = found(root)
    assert labels is None and any(
        note.startswith(f"12 files of .{suffix} are called as images are") for note in scan.notes
    )


def test_attributes_of_celeba_and_labels_without_files_are_named(root):
    rows = "".join(f"{name(k)} {1 - 2 * (k % 2)} -1\n" for k in range(12))
    (root / "list_attr_celeba.txt").write_text(f"12\nSmiling Young\n{rows}")
    (root / "image_class_labels.txt").write_text("".join(f"x{k} {k % 2}\n" for k in range(12)))
    notes = " ".join(found(root)[2].notes)
    assert "no column of labels among Smiling, Young" in notes
    assert "image_class_labels.txt: it names none of the images" in notes


def test_rows_of_files_that_are_missing_are_counted(root):
    rows = "".join(f"{name(k)},{NAMES[k % 3]}\n" for k in range(15))
    (root / "labels.csv").write_text(f"file,label\n{rows}")
    labels, _, scan = found(root)
    assert len(labels) == 12 and any("3 rows of files that are no images" in n for n in scan.notes)


def test_classes_that_differ_by_case_are_named(tmp_path):
    scan = found(folder_of(tmp_path / "set", 12, classes=("Cat", "cat", "dog")))[2]
    assert "classes that differ by case only: Cat, cat" in scan.notes


def test_cells_and_names_of_very_many_digits_are_read_as_text(root):
    long = "7" * 5000
    rows = "".join(f"{name(k)},{(long, '²x', '12')[k % 3]}\n" for k in range(12))
    (root / "labels.csv").write_text(f"file,label\n{rows}{long},12\n00{long},12\n")
    labels, names, scan = found(root)
    assert names == ("12", long, "²x") and labels[:3] == [1, 2, 0]
    assert not any("Exceeds" in note for note in scan.notes)
