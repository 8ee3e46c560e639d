"""A plain PyTorch training script: a dataset, a masking net, a loop around ``si_snr``."""
