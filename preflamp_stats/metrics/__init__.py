"""Labelled metrics: xarray in, xarray out, dims named."""
