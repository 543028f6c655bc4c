"""Compiles ``engine.pyx`` against the installed cexnet: ``python setup.py build_ext --inplace``."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    name="engine",
    # cexnet ships its .pxd files: Cython finds them as it finds Python packages.
    ext_modules=cythonize([Extension("engine", ["engine.pyx"])], language_level=3),
)
