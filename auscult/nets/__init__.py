"""Neural networks: plain modules of tensors that know no noise scale, no audio file and no recipe."""
