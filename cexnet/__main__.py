"""``python -m cexnet``."""

from cexnet.cli import main

main()
