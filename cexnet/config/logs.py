"""The configured log level, put in force."""

from __future__ import annotations

import logging
from typing import get_args

from cexnet.config.tree import LogConfig, LogLevel
from cexnet_core.errors import ConfigurationError
from cexnet_core.hotlog import process_log


def check_level(config: LogConfig) -> None:
    """Raise ConfigurationError for a level that there is not; a file's was checked when it was read."""
    if config.level not in (None, *get_args(LogLevel)):
        raise ConfigurationError(
            f"log.level = {config.level!r}: choose one of {', '.join(get_args(LogLevel))}"
        )


def apply_level(config: LogConfig) -> None:
    """Set the ``cexnet`` logger and the hot log's cut-off; nothing where no level is configured.

    Handlers stay the program's own. An engine whose templates share ``process_log`` has them
    cut off at the same level.
    """
    check_level(config)
    if config.level is not None:
        level = logging.getLevelNamesMapping()[config.level.upper()]
        logging.getLogger("cexnet").setLevel(level)
        process_log.level = level
