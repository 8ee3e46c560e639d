"""Low-frequency replacement of a super-resolution project: what lies below the roll-off is taken from the input.

One transform of the whole excerpt, one threshold. Where the input's filter is gentle, 98.5 % of its magnitudes reach
far up its skirt; there the input is tens of decibels below what was generated, and the threshold leaves a step.
"""

import numpy as np


def rolloff_hz(audio, sample_rate, percent=0.985, n_fft=2048, hop=512):
    """The frequency below which a share of the summed magnitudes lies."""
    window = np.hanning(n_fft)
    frames = np.lib.stride_tricks.sliding_window_view(audio, n_fft)[::hop] * window
    running = np.cumsum(np.abs(np.fft.rfft(frames, axis=-1)).sum(0))
    return np.searchsorted(running, percent * running[-1]) * sample_rate / n_fft


def low_frequency_replace(generated, low_resolution, sample_rate, cutoff_hz):
    """Both [T]."""
    frequencies = np.fft.rfftfreq(len(generated), 1 / sample_rate)
    spectrum = np.where(frequencies <= cutoff_hz, np.fft.rfft(low_resolution), np.fft.rfft(generated))
    return np.fft.irfft(spectrum, len(generated)).astype(np.float32)
