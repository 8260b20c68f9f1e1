"""What is asked of this machine: the cache, and the backbones it has weights for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regraft.api.argument_types import check_range
from regraft.api.arguments import as_list, as_progress, public
from regraft.errors import UsageError, option
from regraft.machine.untouched import untouched
from regraft.progress import Progress

if TYPE_CHECKING:
    from regraft.experiments.backbone_list import BackboneInfo
    from regraft.machine.cache_room import CacheReport


@public
def backbones(
    names: str | Sequence[str] = (),
    *,
    measure: bool = False,
    device: str = "auto",
    progress: bool | Progress = True,
) -> list[BackboneInfo]:
    """What is known of backbones: size, published accuracy, licence, and where their weights are.

    Args:
        names: of these; by default of all.
        measure: also how many photos per second each makes into features on this machine; without `names`, of those
            whose weights are here.
        device: that is measured.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        BackboneError: there is none of such a name.
        UsageError: the device is not there.
    """
    from regraft.experiments.backbone_list import list_backbones, measure_backbones

    infos = list_backbones([str(name) for name in as_list(names)])
    if not measure:
        return infos
    with untouched("backbones"):
        from regraft.machine.devices import open_device

        asked = infos if names else [info for info in infos if info.weights == "here"]
        return measure_backbones(asked, open_device(device), as_progress(progress))


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
