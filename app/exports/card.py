"""What a person needs to know of an export before using it, as Mitchell et al. 2019 ("Model cards") ask for."""

from __future__ import annotations

import pprint
import re

from regraft.augment.fits import MARGIN
from regraft.evidence.decision import LeastCost
from regraft.exports.export import Export
from regraft.exports.format import find_format
from regraft.exports.view_example import view_code
from regraft.machine.sizes import show_size
from regraft.models.backbones import license_of
from regraft.runs.run import Run


def model_card(run: Run, export: Export) -> str:
    """The card as Markdown: what the model is, how good, how to use it, and its limits."""
    metrics, proof, size = run.metrics, export.proof, export.image_size
    backbone = inline_code(run.recipe.model.backbone)
    low, high = 100 * metrics.accuracy_low, 100 * metrics.accuracy_high
    embedding = f", and `embedding`, float32 [N, {export.embedding}]" if export.embedding else ""
    seen = f"on {metrics.images:,} photos it had not seen"
    if metrics.folds:
        seen = f"on {metrics.images:,} photos, each judged by one of {len(metrics.folds)} models that had not seen it"
    moved = f"{proof.same_label:,} keep their label, probabilities move by up to {proof.largest_difference:.2g}"
    by = f"| label | {inline_code(export.decision.words(export.labels))} |\n" if export.decision else ""
    assert proof.accuracy is not None
    assert proof.accuracy_trained is not None
    assert proof.bytes is not None
    trained = f"where the trained model has {100 * proof.accuracy_trained:.1f} %"
    trained += ", on photos that it has learned from" if metrics.folds else ""
    return f"""# {inline_code(run.folder.name)}, as {export.name}

An image classifier for {len(export.labels)} classes, made by Regraft from the backbone {backbone}.

| | |
|---|---|
| accuracy of the trained model | {100 * metrics.accuracy:.1f} % ({low:.1f} to {high:.1f}, 95 %) {seen} |
| accuracy of this file | {100 * proof.accuracy:.1f} %, {trained} |
| proven on | {proof.proven_on}: {moved} |
{by}| size | {show_size(proof.bytes)}, {export.precision} |
| licence of the weights it began with | {license_of(run.recipe.model.backbone, run.recipe.model.weights)} |

Labels, in the order of the probabilities:

```
{pprint.pformat(list(export.labels), width=100, compact=True)}
```

## Use

`regraft predict THIS_FOLDER PHOTOS --out answers.csv` does all of what follows, and survives broken files.

Input: `images`, float32 [1, {size}, {size}, 3], RGB from 0 to 255, not normalized: that is inside. From a photo,
{_view_in_words(export)}
Output: `probabilities`, float32 [N, {len(export.labels)}]{embedding}.

All of it, to be run in this folder (grey of more than 8 bits has to be scaled to 8 first):

```python
{_code(export)}
```

## Limits

It knows the classes above and answers one of them to any picture, also to one that shows none of them.
`regraft predict --unknown-at 0.05` says "unknown" where the probabilities leave more than one class possible, or none:
doubt between classes, which need not show in a picture unlike any it was trained on. The accuracy is that on photos
like those it was trained on, and says nothing of others.
"""


_SCALE = """scale it bilinearly (half-pixel
centres; averaged over the area it stands for from twice the size on)"""


def _view_in_words(export: Export) -> str:
    """What becomes of a photo, from "turned upright" on."""
    part, size = export.crop_fraction, export.image_size
    upright = "turned upright by its EXIF orientation"
    if export.fit == "crop":
        side = "the short side" if part == 1 else f"{part:g} of the short side"
        square = f"{upright}, take the centre square with {side} and {_SCALE}."
        return f"{square} Stretching to a square instead costs accuracy."
    kept = "take all of it" if part == 1 else f"take the centre with {part:g} of each side"
    if export.fit == "stretch":
        return f"{upright}, {kept} and {_SCALE},\neach side by itself. Keeping the aspect ratio instead costs accuracy."
    margins = ", ".join(map(str, MARGIN))
    return f"""{upright}, {kept} and {_SCALE}
to a long side of {size}, and put it in the middle of a square of the colour {margins}. Cropping or stretching it
instead costs accuracy."""


def _code(export: Export) -> str:
    """Python that makes `label` of a photo: with the view that the accuracy is measured on, and no other."""
    imports, _, call = find_format(export.format).snippet.partition("\n\n")
    label = 'answer["probabilities"][0].argmax()' if export.decision is None else "decide(answer)"
    return f"""import json
from pathlib import Path
{imports}
import numpy as np
from PIL import Image, ImageOps


{view_code()}{_decision_code(export)}


export = json.loads(Path("export.json").read_text("utf-8"))
background = export.get("background", "none")
fit = export.get("fit", "crop")
view = read_view("photo.jpg", export["image_size"], export["crop_fraction"], background, fit)
{call}
label = export["labels"][{label}]"""


_COSTS = '''def decide(answer):
    """The position of the class whose answer costs least, of equals the more probable one."""
    probabilities = answer["probabilities"][0].astype(np.float64)
    expected = probabilities @ np.array(export["decision"]["costs"])
    return np.where(expected == expected.min(), probabilities, -1.0).argmax()'''

_POINT = '''def decide(answer):
    """The position of one class where it is probable enough, else of the most probable of the others."""
    probabilities = answer["probabilities"][0].astype(np.float64)
    label = export["labels"].index(export["decision"]["class"])
    if probabilities[label] >= export["decision"]["at_least"]:
        return label
    probabilities[label] = -1.0
    return probabilities.argmax()'''


def _decision_code(export: Export) -> str:
    """Python that makes a label of probabilities, where it is not the most probable class."""
    if export.decision is None:
        return ""
    return "\n\n\n" + (_COSTS if isinstance(export.decision, LeastCost) else _POINT)


def inline_code(text: str) -> str:
    """`text` as Markdown shows it letter for letter, on one line; what cannot be seen is written as an escape."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{space}{shown}{space}{fence}"
