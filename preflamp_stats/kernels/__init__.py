"""Numeric kernels: numpy arrays in, numpy arrays out, for people without xarray too."""
