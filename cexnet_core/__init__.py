"""The compiled core of cexnet: frames, decoding, events, routing, signing, limits, latency.

This package imports nothing of ``cexnet``. Every module is an extension with a
``.pxd`` beside it, so a Cython engine can ``cimport`` it and stay in C.
"""
