"""What is asked of this machine: the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regraft.api.argument_types import check_range
from regraft.api.arguments import public
from regraft.errors import UsageError, option

if TYPE_CHECKING:
    from regraft.machine.cache_room import CacheReport


@public
def cache(*, trim: int | str | None = None) -> CacheReport:
    """What is kept because it took long to make, how large it is, and room made in it.

    Args:
        trim: how large features and transcoded photos may stay, in bytes or as "500MB", "2GB", or "all" to remove them
            all; what was not used for longest goes first. By default nothing is removed.

    Raises:
        UsageError: `trim` or a variable that says where the cache is, or how large, cannot be understood.
    """
    from regraft.machine.cache_room import read_cache, trim_cache
    from regraft.machine.sizes import parse_size

    if trim is None:
        return read_cache()
    if isinstance(trim, int):
        check_range(0, trim=trim)
        return trim_cache(trim)
    try:
        most_bytes = 0 if trim == "all" else parse_size(trim)
    except ValueError:
        raise UsageError(f'{option("trim")} must be a size such as 500MB or 2GB, or all; received "{trim}".') from None
    return trim_cache(most_bytes)
