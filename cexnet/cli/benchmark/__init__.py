"""A quick benchmark that any installed copy can run: ``cexnet bench``.

``rounds`` is how contestants are timed; ``messages``, ``small`` and ``round_trip`` are what
is measured, beside those alternatives that are installed.
"""
