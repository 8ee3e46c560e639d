"""Audio as it stands on disk: reading, writing, resampling, level, short-time Fourier transform. numpy only."""
