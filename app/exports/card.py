"""What a person needs to know of an export before using it, as Mitchell et al. 2019 ("Model cards") ask for."""

from __future__ import annotations

from regraft.exports.export import Export
from regraft.exports.format import find_format
from regraft.runs.run import Run


def model_card(run: Run, export: Export) -> str:
    """The card as Markdown: what the model is, how good, how to use it, and its limits."""
    metrics, proof, size = run.metrics, export.proof, export.image_size
    side = "the short side" if export.crop_fraction == 1 else f"{export.crop_fraction:g} of the short side"
    low, high = 100 * metrics.accuracy_low, 100 * metrics.accuracy_high
    embedding = f", and `embedding`, float32 [N, {export.embedding}]" if export.embedding else ""
    seen = f"on {metrics.images:,} photos it had not seen"
    moved = f"{proof.same_label:,} keep their label, probabilities move by up to {proof.largest_difference:.2g}"
    assert proof.accuracy is not None
    assert proof.accuracy_trained is not None
    assert proof.bytes is not None
    trained = f"where the trained model has {100 * proof.accuracy_trained:.1f} %"
    return f"""# {run.folder.name}, as {export.name}

An image classifier for {len(export.labels)} classes, made by Regraft from a {run.recipe.model.backbone} backbone.

| | |
|---|---|
| accuracy of the trained model | {100 * metrics.accuracy:.1f} % ({low:.1f} to {high:.1f}, 95 %) {seen} |
| accuracy of this file | {100 * proof.accuracy:.1f} %, {trained} |
| proven on | {proof.images:,} photos: {moved} |
| size | {proof.bytes / 1e6:.1f} MB, {export.precision} |

Labels, in order: {", ".join(f"`{label}`" for label in export.labels)}.

## Use

`regraft predict THIS_FOLDER PHOTOS --out answers.csv` does all of what follows, and survives broken files.

Input: `images`, float32 [1, {size}, {size}, 3], RGB from 0 to 255, not normalized: that is inside. From a photo,
turned upright by its EXIF orientation, take the centre square with {side} and scale it bilinearly (half-pixel
centres; averaged over the area it stands for from twice the size on). Stretching to a square instead costs accuracy.
Output: `probabilities`, float32 [N, {len(export.labels)}]{embedding}.

```python
{find_format(export.format).snippet}
label = open("labels.txt").read().splitlines()[answer["probabilities"][0].argmax()]
```

## Limits

It knows the classes above and answers one of them to any picture; `regraft predict --unknown-at 0.05` says "unknown"
rather than guess. The accuracy is that on photos like those it was trained on, and says nothing of others.
"""
