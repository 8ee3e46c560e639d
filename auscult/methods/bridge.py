"""The parametrisation of EDM2SE: EDM's preconditioning for a bridge between clean and noisy spectra."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from auscult.bounds import Positive
from auscult.methods.parametrisation import Net, Parametrisation, beside
from auscult.paths.base import LinearPath, Prediction, Times, times
from auscult.shapes import bcast


@dataclass(frozen=True)
class BridgeResidual(Parametrisation):
    """clean = x_t + c_out F(c_in x_t, c_in(1) y, ln(sigma) / 4), with variances that follow from those of x_0 and n.

    With y = x_0 + n on a path with weights a and b:

        c_out^2 = (1 - a - b)^2 sigma_clean^2 + b^2 sigma_noise^2 + sigma^2, the variance of x_0 - x_t
        1 / c_in = (a + b)^2 sigma_clean^2 + b^2 sigma_noise^2 + sigma^2, the variance of x_t (no root, as published)

    Args:
        sigma_clean: root mean square of x_0 in the compressed domain, of real and imaginary part each.
        sigma_noise: the same of n.
    """

    sigma_clean: Positive = 0.402
    sigma_noise: Positive = 0.342

    def predict(
        self, net: Net, x: Tensor, anchor: Tensor, t: Times, path: LinearPath, condition: Tensor | None = None
    ) -> Prediction:
        last = times(1.0, x).to(t.dtype)
        inputs = beside(bcast(self._scale(path, t), x) * x, anchor, condition, bcast(self._scale(path, last), x))
        output = net(inputs, path.std(t).log() / 4)
        return Prediction(path, x, anchor, t, "clean", x + bcast(self._spread(path, t), output) * output)

    def _scale(self, path: LinearPath, t: Times) -> Times:
        a, b = path.clean_weight(t), path.anchor_weight(t)
        return 1 / (((a + b) * self.sigma_clean) ** 2 + (b * self.sigma_noise) ** 2 + path.std(t) ** 2)

    def _spread(self, path: LinearPath, t: Times) -> Times:
        a, b = path.clean_weight(t), path.anchor_weight(t)
        return (((1 - a - b) * self.sigma_clean) ** 2 + (b * self.sigma_noise) ** 2 + path.std(t) ** 2).sqrt()
