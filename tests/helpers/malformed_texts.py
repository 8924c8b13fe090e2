"""Text that was made to harm: JSON, YAML, CSV and tables with depths, aliases, numbers and names that nobody means."""

import json
from typing import Any

from malformed_arrays import DATASET, DEEP, HUGE, STEP, Spoil, about, each, long, steps, text, weights
from sources import TABLE, coco, note

NAMES = "id,age,gender,skinColor,accessories,nailPolish,aspectOfHand,imageName,irregularities"
CONFIG = "run/config.json"
COMPLETER = "run/completer.safetensors"
RUN: dict[str, Spoil] = {
    f"JSON of depth 100,000 in {name}": text(f"run/{name}.json", DEEP) for name in ("config", "evaluation", "batch")
} | {
    **each(CONFIG, config=[5, [], None], made_by=[5, None, []]),
    **each(CONFIG, "made_by", data_path=[5, "", "a\0b", "../nowhere"], data_sha256=[None, []]),
    **each(
        CONFIG, "config", keypoints=[10**9, 1000, -1, 4.0, HUGE], encoder_layers=[10**9, 64], thickness=[HUGE, "NaN"],
        image_size=[10**9, 2**13, 40], regressor_channels=[["a"], [8], [8] * 99, [8192] * 4, [0] * 4, [1.5] * 4, 8],
        decoder_channels=[[2**30] * 5, []], wings=[2], flip=[1, "yes"], prior_from=[[], 5], name=[5], mask_grid=[0, -8],
        dimension=[8192], vectors=[65536], precision=["64"], seed=[-1, HUGE], perceptual=[[]], tta_views=[10**9],
    ),
    **each("run/batch.json", notebooks=[[], {"a": 5}, {"a": {"seconds": "x", "parameters": {}}}]),
}  # fmt: skip
LINKS = [[0, 1], [1, 0]]
PRIOR = {
    "JSON of depth 100,000": text("run/prior.json", DEEP),
    "longer than the disk": long("run/prior.json"),
    **each(
        "run/prior.json", schema=[5, None], made_by=[3, [1]], connectivity=[5, LINKS, [[0]], "x", [[HUGE] * 4] * 4],
        keypoints=[[], [[0, 0]], [[0, "a"]] * 4, [[0, HUGE]] * 4, [[0]] * 4, [[0, None]] * 4, 5, [[1e39, 0]] * 4],
    ),
}  # fmt: skip
ALIASES = "".join(f"b{i}: &b{i} [{','.join(['*' + (f'b{i - 1}' if i else 'a')] * 9)}]\n" for i in range(12))
PLANS = {
    "aliases of aliases": "a: &a [x, x]\n" + ALIASES,
    "merges of merges": "a: &a {x: 1}\n" + ALIASES.replace("[", "{<<: [").replace("]", "]}"),
    "a list in itself": "seeds: &a [*a]",
    "brackets": "[" * 30_000,
    "dashes": "- " * 16_000,
    "questions": "? " * 16_000,
    "an object": "seeds: !!python/object/apply:os.getpid []",
    "a name": "seeds: !!python/name:os.system",
    "no number": "seeds: !!int ''",
    "no date": "seeds: !!timestamp x",
    "no truth": "seeds: !!bool x",
    "half a binary": "seeds: 0b_",
    "a key of lists": "? [a]\n: b",
    "a number of 5,000 digits": "seeds: [" + "9" * 5000 + "]",
    "a zero byte": "\0",
    "two documents": "a\n---\nb",
    "a longer one than people write": "# no plan\n" * 10_000,
    **{
        str(change)[:40]: json.dumps({"datasets": ["roses"], "seeds": [0], "notebooks": ["train"], **change})
        for change in (
            {"seeds": [-1]}, {"seeds": 5}, {"steps": 10**30}, {"jobs": True}, {"datasets": ["../x"]}, {"preset": []},
            {"variants": {"x": {"keypoints": 10**9}}}, {"variants": {"x": {"regressor_channels": ["a"]}}},
            {"variants": {"x": {"like": []}}}, {"slurm": {"additional": 5}}, {"notebooks": ["../x"]}, {"scale": []},
            {"parameters": {"factor": []}}, {"datasets": {"roses": {"size": "x"}}}, {"device": {}}, {5: 5},
            {"datasets": {"a\0": None}}, {"variants": {"x": {"steps": -1}}}, {"variants": {"x": {"mask_grid": 0}}},
        )
    },
}  # fmt: skip
NOTEBOOKS = {
    "JSON of depth 100,000": text("notebooks/train.ipynb", DEEP),
    **each("notebooks/train.ipynb", cells=[5, [5], [[]]], nbformat=[99, "x"], metadata=[5]),
}


def labelled(**changes: Any) -> Spoil:
    return lambda folder: coco(folder / "l.json", **changes)


def noted(bbox: Any = (16, 20, 8, 16), keypoints: Any = (20, 30, 2, 0, 0, 0, 0, 0, 0), **changes: Any) -> Spoil:
    return labelled(annotations=[{**note(1, bbox, keypoints), **changes}])


KINDS = {"id": 1, "keypoints": ["nose", "left ear", "right ear"]}
COCO: dict[str, Spoil] = {
    "JSON of depth 100,000": text("l.json", DEEP),
    "longer than the disk": long("l.json"),
    "images that are none": labelled(images=5),
    "image without a name": labelled(images=[{"id": 7}]),
    "image called by a list": labelled(images=[{"id": [], "file_name": "a.png"}]),
    "annotation of a list": noted(image_id=[]),
    "annotation of a kind that is a list": noted(category_id=[]),
    "annotation that is text": labelled(annotations=["a"]),
    "points by name": noted(keypoints={}),
    "points in pairs": noted(keypoints=[[20, 30, 2]] * 3),
    "points beyond all numbers": noted(keypoints=[HUGE, 0, 2] * 3),
    "points that are none": noted(keypoints=[None, 0, 2] * 3),
    "box beyond all numbers": noted(bbox=[0, 0, HUGE, 1]),
    "box as large as the world": noted(bbox=[0, 0, 1e300, 1e300]),
    "box of text": noted(bbox="abcd"),
    "names that are numbers": labelled(categories=[{**KINDS, "keypoints": [1, 2, 3]}]),
    "names by the million": labelled(categories=[{**KINDS, "keypoints": ["a"] * 10**6}]),
    "skeleton beyond all numbers": labelled(categories=[{**KINDS, "skeleton": [[1, HUGE]]}]),
    "skeleton of text": labelled(categories=[{**KINDS, "skeleton": "12"}]),
    "kinds that are none": labelled(categories=[[]]),
}
CSV = {
    "a cell of a million letters": f'{TABLE}\na.png,"{"x" * 10**6}",1,2,1\n',
    "quotes without end": TABLE + '\na.png,"' + "x,y\n" * 200_000,
    "zero bytes": f"{TABLE}\na.png\0,no\0se,1,2,1\n",
    "numbers that are none": f"{TABLE}\na.png,nose,nan,1e999,1\n",
    "names by the thousand": TABLE + "\n" + "".join(f"a.png,n{i},1,2,1\n" for i in range(1001)),
    "names times files": TABLE + "\n" + "".join(f"{i}.png,n{i % 999},1,2,1\n" for i in range(30_000)),
    "an empty header": "\n\n",
}
TABLES = {
    "images out of the folder": text("cub/images.txt", "1 ../../../etc/passwd\n2 /etc/passwd\n3 002.B/3.png\n"),
    "numbers of 5,000 digits": text("cub/images.txt", f"{'9' * 5000} a.png\n"),
    "boxes of no number": text("cub/bounding_boxes.txt", "1 nan 1 1 1\n2 1 1 1 1\n3 1 1 1 1\n"),
    "boxes without end": text("cub/bounding_boxes.txt", "1 0 0 inf inf\n2 1 1 1 1\n3 1 1 1 1\n"),
    "boxes of nothing": text("cub/bounding_boxes.txt", "1 9 9 0 0\n2 1 1 1 1\n3 1 1 1 1\n"),
    "classes of no number": text("cub/image_class_labels.txt", "1 nan\n2 1\n3 1\n"),
    "other letters": text("cub/classes.txt", "1 Käfer\n", "latin1"),
    "longer than the disk": long("cub/images.txt"),
}
HANDS = {
    "hand out of the folder": text("hands/HandInfo.csv", f"{NAMES}\n1,2,f,fair,0,0,dorsal left,../HandInfo.csv,0\n"),
    "hand of Windows": text("hands/HandInfo.csv", f"{NAMES}\n1,2,f,fair,0,0,dorsal left,..\\..\\a.png,0\n"),
    "zero bytes": text("hands/HandInfo.csv", f"{NAMES}\n1,2,f,fair,0,0,dorsal left,a\0.png,0\n"),
    "a cell of a million letters": text("hands/HandInfo.csv", f"{NAMES}\n1,{'x' * 10**6}"),
    "other letters": text("hands/HandInfo.csv", f"{NAMES}\n1,2,ü,fair,0,0,dorsal left,p0.jpg,0\n", "latin1"),
}
TEXTS: dict[str, dict[str, Spoil]] = {
    "data set": DATASET,
    "checkpoint": weights(STEP) | steps(STEP, "step"),
    "checkpoint of version 1": weights(STEP) | steps(STEP, "step"),
    "completer": weights(COMPLETER) | steps(COMPLETER, "steps") | {"of numbers": about(COMPLETER, of=5)},
    "run folder": RUN,
    "prior": PRIOR,
    "plan": {name: text("try.yaml", content) for name, content in PLANS.items()},
    "notebook": NOTEBOOKS,
    "COCO labels": COCO,
    "CSV labels": {name: text("l.csv", content) for name, content in CSV.items()},
    "tables of CUB": TABLES,
    "CSV of hands": HANDS,
}
"""All of them by reader, those of arrays and tensors too"""
