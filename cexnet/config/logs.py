"""The configured log level, put in force."""

from __future__ import annotations

import logging

from cexnet.config.tree import LogConfig
from cexnet_core.hotlog import process_log


def apply_level(config: LogConfig) -> None:
    """Set the ``cexnet`` logger and the hot log's cut-off; nothing where no level is configured.

    Handlers stay the program's own. An engine whose templates share ``process_log`` has them
    cut off at the same level.
    """
    if config.level is not None:
        level = logging.getLevelNamesMapping()[config.level.upper()]
        logging.getLogger("cexnet").setLevel(level)
        process_log.level = level
