"""What a restoration may be told beside the noisy signal, as tensors that nets take."""
