import argparse

import torch

from tests.diagnose.foreign_projects import recording

parser = argparse.ArgumentParser()
parser.add_argument("--loss-weights", nargs=3, type=float, default=[0.1, 0.9, 0.2])
parser.add_argument("--cut-len", type=int, default=8000)
parser.add_argument("--batch", type=int, default=4)


class Trainer:
    """The generator's step on compressed spectra."""

    def __init__(self, args):
        self.args, self.model = args, None
        self.window = torch.hamming_window(400)

    def spectrum(self, wave):
        z = torch.stft(wave, 400, 100, window=self.window, return_complex=True)
        return z * z.abs().clamp_min(1e-9) ** -0.7

    def wave(self, z, length):
        return torch.istft(z * z.abs().clamp_min(1e-9) ** (7 / 3), 400, 100, window=self.window, length=length)

    def level(self, noisy):
        return (noisy.shape[-1] / noisy.square().sum(-1, keepdim=True)).sqrt()

    def forward_step(self, clean, noisy):
        c = self.level(noisy)
        clean, noisy = clean * c, noisy * c
        estimate = self.model(self.spectrum(noisy))
        return {
            "estimate": estimate,
            "target": self.spectrum(clean),
            "est_audio": self.wave(estimate, clean.shape[-1]),
            "clean_audio": clean,
        }

    def loss(self, out, clean):
        ri, mag, time = self.args.loss_weights
        error = out["estimate"] - out["target"]
        loss_ri = error.real.square().mean() + error.imag.square().mean()
        loss_mag = (out["estimate"].abs() - out["target"].abs()).square().mean()
        time_loss = (out["est_audio"] - self.time_target(out, clean)).abs().mean()
        return ri * loss_ri + mag * loss_mag + time * time_loss, {
            "ri": ri * loss_ri,
            "mag": mag * loss_mag,
            "time": time * time_loss,
        }

    def time_target(self, out, clean):
        return out["clean_audio"]


class Refactored(Trainer):
    """Normalisation moved into ``forward_step``: the caller's ``clean`` is no longer the normalised one."""

    def time_target(self, out, clean):
        return clean


# The adapters: the spectrum of an estimate stands for the model's answer.


def make_loader():
    args = parser.parse_args([])
    clean, noisy = (torch.from_numpy(recording(side)) for side in ("clean", "noisy"))
    whole = len(clean) // (args.cut_len * args.batch) * args.cut_len * args.batch
    rows = [wave[:whole].reshape(-1, args.batch, args.cut_len) for wave in (clean, noisy)]
    for i in range(len(rows[0])):
        yield {"clean": rows[0][i], "noisy": rows[1][i]}


def loss_fn(estimate, clean, noisy, trainer=Trainer):
    step = trainer(parser.parse_args([]))
    step.model = lambda _: step.spectrum(estimate * step.level(noisy))
    return step.loss(step.forward_step(clean, noisy), clean)


def loss_refactored(estimate, clean, noisy):
    return loss_fn(estimate, clean, noisy, Refactored)
