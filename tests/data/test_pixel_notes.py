"""What check and train say once of photos that are not simply shown as they are."""

import numpy as np
from PIL import Image

from regraft.data.pixel_notes import pixel_notes
from regraft.data.rendering import Rendering
from regraft.data.scan import scan_folder


def test_transparent_deep_and_mended_photos_are_counted_and_named(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2})
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(root / "cat/icon.png")
    for number, top in enumerate((900, 2027)):
        Image.fromarray(np.array([[40, top]], np.uint16)).save(root / f"dog/deep{number}.png")
    cut = root / "dog/000.jpg"
    cut.write_bytes(cut.read_bytes()[:-2])
    folder = scan_folder(root)
    assert pixel_notes(folder, Rendering()) == [
        "1 photo with transparency (cat/icon.png): white is seen through them (data.background).",
        "2 photos in grey of 16 or 32 bits (dog/deep0.png, dog/deep1.png), with values from 40 to 2,027: "
        "0 is black, 4,095 white (data.range).",
        "1 photo read with a flaw (dog/000.jpg): its end mark is missing, all else is there.",
    ]
    assert "their hidden colours are seen" in pixel_notes(folder, Rendering("none"))[0]
    assert "each by its type" in pixel_notes(folder, Rendering(range="type"))[1]
    assert "20 is black, 2,000 white" in pixel_notes(folder, Rendering(range=(20.0, 2000.0)))[1]


def test_of_plain_photos_nothing_is_said(photo_folder):
    assert pixel_notes(scan_folder(photo_folder({"cat": 2, "dog": 2})), Rendering()) == []
