"""The memory that decoding a photo takes at its peak, for each of its pixels, by format.

    python benchmarks/decoding_memory.py

Prints one row for each kind of file; each is read in a process of its own. `regraft.data.decoding_cost` counts
on these.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regraft.data.file_format import can_read
from regraft.data.photos import read_upright_rgb

WIDTH, HEIGHT = 4000, 3000
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("JPEG", "RGB", {}),
    "JPEG, progressive": ("JPEG", "RGB", {"progressive": True}),
    "JPEG, grey": ("JPEG", "L", {}),
    "JPEG, CMYK": ("JPEG", "CMYK", {}),
    "PNG": ("PNG", "RGB", {"compress_level": 1}),
    "PNG, palette": ("PNG", "P", {"compress_level": 1}),
    "PNG, alpha": ("PNG", "RGBA", {"compress_level": 1}),
    "PNG, 16 bits": ("PNG", "I;16", {"compress_level": 1}),
    "GIF": ("GIF", "P", {}),
    "BMP": ("BMP", "RGB", {}),
    "WebP": ("WEBP", "RGB", {"method": 0}),
    "WebP, alpha": ("WEBP", "RGBA", {"lossless": True, "method": 0}),
    "TIFF": ("TIFF", "RGB", {}),
    "TIFF, LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF, float": ("TIFF", "F", {}),
    "AVIF": ("AVIF", "RGB", {"speed": 10}),
    "HEIF": ("HEIF", "RGB", {}),
    "JPEG XL": ("JXL", "RGB", {"lossless": True, "effort": 1}),
}


def main() -> None:
    print("| file | bytes per pixel, at the peak |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (format, _, _) in KINDS.items():
            if can_read(format):
                file = Path(folder) / "photo"
                for step in ("write", "read"):
                    subprocess.run([sys.executable, __file__, step, kind, str(file)], check=True)


def write(kind: str, file: Path) -> None:
    format, mode, options = KINDS[kind]
    _register(format)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 50, WIDTH // 50, 3), np.uint8)
    photo = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    if mode == "I;16":
        photo = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 16)
    else:
        photo = photo.quantize(64) if mode == "P" else photo.convert(mode)
    photo.save(file, format, **options)


def read(kind: str, file: Path) -> None:
    _register(KINDS[kind][0])
    encoded, small = file.read_bytes(), io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "PNG")
    read_upright_rgb(small.getvalue())  # what is loaded once
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    read_upright_rgb(encoded)
    print(f"| {kind} | {(_status('VmHWM') - before) / WIDTH / HEIGHT:.1f} |", flush=True)


def _register(format: str) -> None:
    if format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if format == "JXL":
        import pillow_jxl  # noqa: F401


def _status(key: str) -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"write": write, "read": read}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    else:
        main()
