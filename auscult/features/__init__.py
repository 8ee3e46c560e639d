"""Between waves and what nets see: normalisation of level, compressed spectra."""
