"""What can be wrong with a backbone or its weights. Each message is one line a user can act on."""


class BackboneError(ValueError):
    """A backbone that does not exist, or an option or image size it does not take."""


class WeightsError(ValueError):
    """A weights file that is missing, damaged or of another network."""
