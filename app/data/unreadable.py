"""Why a file gives no pixels, in the words that people see."""

from __future__ import annotations

from regraft.machine.sizes import show_size

MAX_PIXELS = 178_956_970  # Pillow's own limit for a decompression bomb, which there is only a warning
MOST_PIXELS = 2 * MAX_PIXELS  # beyond these Pillow refuses

STATUSES = ("ok", "missing", "unreadable", "truncated", "too_large")


class UnreadablePhoto(ValueError):  # noqa: N818 - it is a finding about a file, as StopIteration is
    """A file that gives no pixels; the message is a short reason, such as "empty file".

    `status` is one of `STATUSES` but "ok".
    """

    def __init__(self, reason: str, status: str = "unreadable") -> None:
        super().__init__(reason)
        self.status = status


def too_many_bytes(size: int, limit: int) -> UnreadablePhoto:
    """The error for a file of `size` bytes, which is not read: "3,000 bytes, the limit is 2,000"."""
    return UnreadablePhoto(f"{size:,} bytes, the limit is {limit:,}", "too_large")


def too_many_pixels(pixels: int, limit: int) -> UnreadablePhoto:
    """The error for a photo of so many pixels, which is not decoded; it names what raises the limit."""
    room = "--max-pixels" if pixels <= MOST_PIXELS else f"--max-pixels goes up to {MOST_PIXELS / 1e6:.0f}"
    return UnreadablePhoto(
        f"too large: {pixels / 1e6:,.0f} million pixels, the limit is {limit / 1e6:.3g} ({room})", "too_large"
    )


def too_much_memory(amount: int, limit: int) -> UnreadablePhoto:
    """The error for a photo that takes more memory than there may be; it names what raises the limit."""
    return UnreadablePhoto(
        f"too large: {show_size(amount)} of memory to decode it, the limit is {show_size(limit)} (--max-memory)",
        "too_large",
    )


def damaged(error: Exception) -> UnreadablePhoto:
    """The error for data that made a decoder raise `error`."""
    reason = f"damaged: {str(error) or type(error).__name__}"
    return UnreadablePhoto(reason, "truncated" if "truncated" in reason.lower() else "unreadable")
