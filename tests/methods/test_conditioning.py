"""Learning and restoring with a noise reference: encoders, drop-out, losses of the encoder, what is refused."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from auscult import recipe
from auscult.audio.resample import resample
from auscult.errors import MissingExtra, RecipeError, RestorationError
from auscult.features.spectral import CompressedSTFT
from auscult.hub.runs import read_history
from auscult.losses.waveform import L1
from auscult.methods.base import Batch, Method
from auscult.methods.conditioning import NoiseConditioning, info_nce
from auscult.methods.objective import DataMatching
from auscult.methods.parametrisation import DataPrediction
from auscult.methods.regression import Regression
from auscult.methods.score import ScoreModel
from auscult.methods.storm import StoRM
from auscult.nets.condition import NoiseCondition
from auscult.nets.dcunet import DCUNet
from auscult.nets.injection import AdaGN, SpectralChannel
from auscult.nets.ncsnpp import STORM_PREDICTOR, V2, NCSNpp
from auscult.nets.noise_encoder import ConvStatistics, Encoder, LightEncoder, PSDEncoder, TokenEncoder
from auscult.nets.pretrained_encoder import PretrainedEncoder
from auscult.paths.ouve import OUVE
from auscult.rng import Draws
from auscult.samplers.few_step import DDIM
from auscult.train.loop import Trainer
from auscult.train.run import RunFolder
from auscult.train.settings import Options
from auscult.train.setup import plan_run
from tests.noise import CONDITIONS, FEATURES, SMALL, conditions, reference, shaken
from tests.train.runs import SCORE, TOLD

TINY = {**SMALL, **V2, "channels": 8, "multipliers": (1, 1), "attention_heights": ()}
ENCODERS = {
    "ConvStatistics": lambda: ConvStatistics(16, channels=4),
    "LightEncoder": lambda: LightEncoder(16),
    "TokenEncoder": lambda: TokenEncoder(3, 16, channels=4),
}


def model(cond: NoiseCondition | None = None, **settings: object) -> ScoreModel:
    torch.manual_seed(0)
    cond = cond or NoiseCondition(LightEncoder(16), (AdaGN(8),))
    return ScoreModel(NCSNpp(**TINY, cond=cond), FEATURES, OUVE(), DataPrediction(), DataMatching(), DDIM(steps=2),
                      frame_grid=2, conditioning=NoiseConditioning(**settings))  # fmt: skip


def batch(items: int, told: dict[str, Tensor] | None = None, samples: int = 200) -> Batch:
    clean, noise = (0.2 * torch.randn(items, 1, samples, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    ones = torch.ones(items)
    told = conditions([300] * items) if told is None else told
    return Batch(clean, clean + noise, ones, samples * ones.long(), 0 * ones.long(), told, [()] * items)


class TestReferences:
    def test_the_spectrum_is_the_closed_form(self) -> None:
        """psd = factor (mean_t |S|^2)^(exponent / 2) over the frames that lie within the wave."""
        told = conditions([300, 200], total=512)
        found = reference([300, 200], total=512)
        assert found.frames.tolist() == [1 + (300 - 31) // 16, 1 + (200 - 31) // 16]
        padded = np.pad(told["noise"][1, 0].numpy(), (31, 0), mode="reflect")
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(62) / 62)
        frames = np.stack([padded[16 * n :][:62] * taper for n in range(int(found.frames[1]))])
        power = np.mean(np.abs(np.fft.rfft(frames, axis=1)) ** 2, axis=0)
        assert found.psd[1].numpy() == pytest.approx(0.15 * power**0.25, rel=1e-4)

    def test_padding_changes_nothing(self) -> None:
        short, long = reference([300], total=300), reference([300], total=900)
        assert torch.allclose(short.psd, long.psd, atol=1e-6)
        assert torch.equal(short.frames, long.frames)

    def test_what_is_missing_is_named(self) -> None:
        net = model()
        with pytest.raises(RecipeError, match="there is no noise: learn from data of type Referenced"):
            net.forward(net.nets(), batch(2, {}), Draws([0, 1]))

    def test_a_withheld_reference_is_as_none(self) -> None:
        net = model()
        shaken(net.nets()["net"])
        cond = net.nets()["net"].cond
        dropped = cond.encode(reference([300, 300]).without(torch.tensor([True, False])))
        absent = cond.encode(reference([0, 300]))
        for part in ("present", "psd", "level", "tokens"):
            assert torch.equal(getattr(dropped, part), getattr(absent, part))
        assert torch.equal(dropped.tokens[0], cond.null)
        assert bool((cond.null != 0).all())


class TestEncoders:
    @pytest.mark.parametrize("name", ENCODERS)
    def test_they_hear_the_reference_and_not_its_padding(self, name: str) -> None:
        encoder = made(ENCODERS[name]())
        with torch.no_grad():
            alone, among = encoder(reference([300])), encoder(reference([300, 700, 500], seed=0))[:1]
            other = encoder(reference([300], seed=4))
        assert alone.shape == (1, encoder.count, 16)
        assert torch.allclose(alone, among, atol=1e-5)
        assert not torch.allclose(alone, other, atol=1e-2)

    @pytest.mark.parametrize("name", ENCODERS)
    def test_they_hear_only_the_shape(self, name: str) -> None:
        encoder, piece = made(ENCODERS[name]()), reference([300])
        assert torch.equal(encoder(piece), encoder(replace(piece, level=piece.level + 3)))

    @pytest.mark.parametrize("name", ["ConvStatistics", "TokenEncoder"])
    def test_items_without_reference_leave_gradients_finite(self, name: str) -> None:
        net = NCSNpp(**TINY, cond=NoiseCondition(ENCODERS[name](), (AdaGN(8),)))
        shaken(net)
        told = net.cond.encode(reference([0, 300]))
        net(torch.randn(2, 2, 32, 8, dtype=torch.complex64), torch.tensor([0.2, 0.5]), told).abs().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.cond.parameters())

    def test_a_power_spectrum_needs_no_learning(self) -> None:
        net = NCSNpp(**TINY, cond=NoiseCondition(PSDEncoder(), (SpectralChannel(),)))
        assert {key.split(".")[2] for key, _ in net.cond.named_parameters(prefix="cond")} == {"0"}
        told = net.cond.encode(reference([300, 0]))
        assert told.tokens is None
        assert torch.equal(told.psd[0], reference([300, 0]).psd[0])
        assert float(told.psd[1].abs().max()) == float(told.level[1]) == 0

    def test_a_pretrained_encoder_says_what_to_install_or_where_to_look(self, tmp_path: Path) -> None:
        there = importlib.util.find_spec("transformers") is not None
        expected = RecipeError if there else MissingExtra
        words = "holds no model that transformers opens" if there else r"pip install 'auscult\[text\]'"
        with pytest.raises(expected, match=words):
            NCSNpp(**TINY, cond=NoiseCondition(PretrainedEncoder(tmp_path), (AdaGN(8),)))

    def test_a_pretrained_encoder_hears_waves(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        convolutions = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2,
                        "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}  # fmt: skip
        torch.manual_seed(0)
        transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes, **convolutions)).save_pretrained(tmp_path)
        net = NCSNpp(**TINY, cond=NoiseCondition(PretrainedEncoder(tmp_path, 24), (AdaGN(8),))).eval()
        told = net.cond.encode(reference([900, 700, 0]))
        assert told.tokens.shape == (3, 1, 24)
        assert torch.allclose(told.shape[1:2], net.cond.encode(reference([700], seed=1)).shape, atol=1e-5)
        assert not any(p.requires_grad for p in net.cond.encoder.model.parameters())

    def test_clap_sees_the_mel_spectra_that_it_was_trained_with(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        few = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        heard = {"hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [2, 2],
                 "spec_size": 64, "num_mel_bins": 16, "window_size": 4, "patch_size": 4, "patch_stride": [4, 4],
                 "projection_dim": 12}  # fmt: skip
        text = {**few, "vocab_size": 50, "projection_dim": 12}
        config = transformers.ClapConfig(text_config=text, audio_config=heard, projection_dim=12)
        model = transformers.ClapModel(config).eval()
        extractor = transformers.ClapFeatureExtractor(
            feature_size=16, sampling_rate=48_000, max_length_s=1, nb_max_samples=48_000, truncation="rand_trunc"
        )
        model.save_pretrained(tmp_path)
        extractor.save_pretrained(tmp_path)
        net = NCSNpp(**TINY, cond=NoiseCondition(PretrainedEncoder(tmp_path, 24), (AdaGN(8),))).eval()
        noise = reference([8_000, 0])
        told = net.cond.encode(noise)
        wave = resample(noise.wave[0, :, :8_000].numpy(), 16_000, 48_000)[0]
        seen = extractor(wave, sampling_rate=48_000, return_tensors="pt")
        encoder = net.cond.encoder
        with torch.inference_mode():
            expected = encoder.norm(encoder.out(model.get_audio_features(**seen).pooler_output))
        assert encoder.out.in_features == 12
        assert torch.allclose(told.shape[0], expected, atol=1e-5)


def made(encoder: Encoder) -> Encoder:
    torch.manual_seed(0)
    encoder.attach(FEATURES.bins)
    return encoder


class TestDropOut:
    def test_times_and_noise_do_not_move(self) -> None:
        items = batch(3)
        plain = ScoreModel(NCSNpp(**TINY), FEATURES, OUVE(), frame_grid=2)
        expected = plain.forward(plain.nets(), items, Draws([0, 1, 2])).example
        for drop in (0.0, 0.9):
            told = model(drop=drop)
            found = told.forward(told.nets(), items, Draws([0, 1, 2])).example
            assert torch.equal(found.t, expected.t)
            assert torch.equal(found.noise, expected.noise)

    def test_the_rate_is_the_one_asked_for(self) -> None:
        told = model(drop=0.2)
        step = told.forward(told.nets(), batch(400, conditions([80] * 300 + [0] * 100)), Draws(range(400))).told
        assert step.notes["no_reference"] == 0.25
        assert abs(step.notes["dropped"] - 0.2) < 3 * math.sqrt(0.2 * 0.8 / 300)
        assert int(step.told.present.sum()) == round(300 * (1 - step.notes["dropped"]))

    def test_an_item_is_dropped_whatever_its_neighbours(self) -> None:
        told = model(drop=0.5)
        together = told.forward(told.nets(), batch(8), Draws(range(8))).told.told.present
        alone = [told.forward(told.nets(), batch(1), Draws([i])).told.told.present for i in range(8)]
        assert together.tolist() == torch.cat(alone).tolist()
        assert 0 < int(together.sum()) < 8


class TestLearning:
    @pytest.mark.parametrize("name", CONDITIONS)
    def test_every_parameter_of_the_condition_learns(self, name: str) -> None:
        """From zero: after a few steps the gradient has come through to the encoder and to the null element."""
        net = NCSNpp(**SMALL, **V2, cond=CONDITIONS[name]())
        shaken(net)
        told = net.cond.encode(reference([300, 0]))
        net(torch.randn(2, 2, 32, 8, dtype=torch.complex64), torch.tensor([0.2, 0.5]), told).abs().sum().backward()
        still = [key for key, p in net.named_parameters() if p.requires_grad and not p.grad.abs().sum()]
        assert still == []

    def test_the_reference_is_used_where_it_helps(self) -> None:
        """Clean signals that only the reference's level tells: the net's own reference halves the loss of another's."""
        told = model(drop=0.0)
        net, levels = told.nets()["net"], torch.tensor([-3.0, 0.0] * 2)
        noise = 0.3 * torch.randn(4, 1, 60, generator=torch.Generator().manual_seed(0))
        items = batch(4, {**conditions([60] * 4), "noise_level": levels}, samples=60)
        items = replace(items, clean=noise * (1 + levels / 3)[:, None, None], noisy=noise)
        optimiser = torch.optim.Adam(net.parameters(), 5e-3)
        for step in range(80):
            draws = Draws(range(4 * step, 4 * step + 4))
            loss = told.loss("net", told.nets(), items, told.forward(told.nets(), items, draws), draws).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        net.eval()
        losses = []
        for of in (levels, levels.roll(1)):
            given = replace(items, conditions={**items.conditions, "noise_level": of})
            with torch.no_grad():
                shared = told.forward(told.nets(), given, Draws(range(4)))
                losses.append(float(told.loss("net", told.nets(), given, shared, Draws(range(4))).total))
        assert losses[0] < 0.5 * losses[1]


class TestLossesOfTheEncoder:
    def test_info_nce_by_hand(self) -> None:
        """Two orthogonal pairs at temperature 1: -ln(e / (e + 1)); an item without its pair is no negative."""
        a = torch.eye(3, 4)
        paired = torch.tensor([True, True, False])
        expected = -math.log(math.e / (math.e + 1))
        assert info_nce(a, 5 * a, paired, 1.0)[:2].tolist() == pytest.approx([expected, expected])
        swapped = info_nce(a, a[[1, 0, 2]], paired, 1.0)
        assert swapped[:2].tolist() == pytest.approx([-math.log(1 / (math.e + 1))] * 2)
        assert info_nce(a, a, torch.tensor([True, False, False]), 0.07)[0] == pytest.approx(0.0, abs=1e-6)

    def test_types_are_learned_from_the_items_that_have_one(self) -> None:
        told = model(NoiseCondition(LightEncoder(16), (AdaGN(8),), classes=4), drop=0.0, classify=0.3)
        given = {**conditions([300, 300, 300, 0]), "noise_class": torch.tensor([2, -1, 1, 1])}
        shared = told.forward(told.nets(), batch(4, given), Draws(range(4)))
        loss = told.loss("net", told.nets(), batch(4, given), shared, Draws(range(4)))
        cond = told.nets()["net"].cond
        with torch.no_grad():
            logits = cond.classify(cond.encoder(reference([300, 300, 300, 0]))[:, 0])
        expected = -(logits.log_softmax(1)[0, 2] + logits.log_softmax(1)[2, 1]) / 2
        assert loss.parts["noise_class"].item() == pytest.approx(float(expected), rel=1e-5)
        assert loss.weights["noise_class"] == 0.3
        assert loss.notes["noise_class_known"] == 0.5
        unknown = {**given, "noise_class": torch.full((4,), -1)}
        shared = told.forward(told.nets(), batch(4, unknown), Draws(range(4)))
        silent = told.loss("net", told.nets(), batch(4, unknown), shared, Draws(range(4)))
        assert silent.parts["noise_class"].item() == 0.0
        silent.total.backward()
        assert cond.classify.weight.grad is not None

    def test_pieces_of_one_noise_are_drawn_together(self) -> None:
        told = model(drop=0.0, contrast=0.1)
        other = conditions([250, 250, 0], total=300, seed=40)
        given = {**conditions([300] * 3), "noise_other": other["noise"], "noise_other_samples": other["noise_samples"]}
        shared = told.forward(told.nets(), batch(3, given), Draws(range(3)))
        loss = told.loss("net", told.nets(), batch(3, given), shared, Draws(range(3)))
        cond = told.nets()["net"].cond
        a, b = cond.encoder(reference([300] * 3))[:2, 0], cond.encoder(reference([250, 250], total=300, seed=40))[:, 0]
        expected = info_nce(a, b, torch.tensor([True, True]), 0.07).mean()
        assert loss.parts["noise_contrast"].item() == pytest.approx(expected.item(), rel=1e-4)
        assert loss.notes["noise_pairs"] == pytest.approx(2 / 3)

    @pytest.mark.parametrize(("cond", "settings", "message"), [
        (NoiseCondition(LightEncoder(16), (AdaGN(8),)), {"classify": 0.3}, "give both, or neither"),
        (NoiseCondition(LightEncoder(16), (AdaGN(8),), classes=3), {}, "give both, or neither"),
        (NoiseCondition(PSDEncoder(), (SpectralChannel(),)), {"contrast": 0.1}, "PSDEncoder gives nothing to contrast"),
    ])  # fmt: skip
    def test_losses_and_parts_come_together(
        self, cond: NoiseCondition, settings: dict[str, float], message: str
    ) -> None:
        with pytest.raises(RecipeError, match=message):
            model(cond, **settings)

    @pytest.mark.parametrize(("classes", "settings", "key"), [
        (4, {"classify": 0.3}, "noise_class"), (0, {"contrast": 0.1}, "noise_other"),
    ])  # fmt: skip
    def test_data_without_what_a_loss_needs_is_refused(
        self, classes: int, settings: dict[str, float], key: str
    ) -> None:
        told = model(NoiseCondition(LightEncoder(16), (AdaGN(8),), classes=classes), **settings)
        with pytest.raises(RecipeError, match=f"needs {key} with every pair, which the data does not carry"):
            told.forward(told.nets(), batch(2), Draws([0, 1]))

    def test_more_types_than_classes_are_refused(self) -> None:
        told = model(NoiseCondition(LightEncoder(16), (AdaGN(8),), classes=2), classify=0.3)
        given = {**conditions([300, 300]), "noise_class": torch.tensor([0, 2])}
        with pytest.raises(RecipeError, match=r"cond\.classes: 2 are too few, the data has type 2"):
            told.forward(told.nets(), batch(2, given), Draws([0, 1]))


class TestRestoration:
    noisy = 0.2 * torch.randn(3, 1, 500, generator=torch.Generator().manual_seed(9))

    def restored(self, told: ScoreModel, noisy: Tensor, given: dict[str, Tensor], seeds: list[int]) -> Tensor:
        with torch.inference_mode():
            return told.restore({"net": told.nets()["net"].eval()}, noisy, Draws(seeds), given)

    @pytest.mark.parametrize("scale", [1.0, 1.5])
    def test_an_item_is_restored_by_its_own_reference_alone(self, scale: float) -> None:
        told = model(drop=0.1, guidance_scale=scale)
        shaken(told.nets()["net"])
        given = conditions([300, 0, 700])
        together = self.restored(told, self.noisy, given, [0, 1, 2])
        for i, longest in enumerate((300, 62, 800)):
            alone = {name: tensor[i : i + 1] for name, tensor in given.items()}
            alone["noise"] = torch.nn.functional.pad(alone["noise"], (0, longest - 700))
            single = self.restored(told, self.noisy[i : i + 1], alone, [i])
            assert torch.allclose(together[i : i + 1], single, atol=1e-5 * float(together.abs().max()))
        without = self.restored(told, self.noisy, {}, [0, 1, 2])
        assert torch.allclose(without[1], together[1], atol=1e-5 * float(together.abs().max()))
        assert not torch.allclose(without[0], together[0], atol=1e-2 * float(together.abs().max()))

    def test_the_encoder_is_asked_once_a_run(self) -> None:
        told = model(drop=0.1, guidance_scale=1.5)
        asked: list[int] = []
        told.nets()["net"].cond.encoder.register_forward_hook(lambda *_: asked.append(1))
        self.restored(told, self.noisy, conditions([300, 300, 300]), [0, 1, 2])
        assert len(asked) == 2  # with the reference and without it, for all steps

    def test_without_drop_out_a_reference_is_needed(self) -> None:
        told = model(drop=0.0)
        assert self.restored(told, self.noisy, conditions([300] * 3), [0, 1, 2]).shape == self.noisy.shape
        for given in ({}, conditions([300, 0, 300])):
            with pytest.raises(RestorationError, match="trained without drop-out"):
                self.restored(told, self.noisy, given, [0, 1, 2])

    def test_who_knows_no_conditions_says_so(self) -> None:
        plain = ScoreModel(NCSNpp(**TINY), FEATURES, OUVE(), frame_grid=2)
        mapping = NCSNpp(**{**TINY, **STORM_PREDICTOR, "multipliers": (1, 1)})
        regression = Regression(mapping, FEATURES, (L1(),), frame_grid=2)
        both = StoRM(mapping, NCSNpp(**TINY, sources=3), FEATURES, OUVE(), frame_grid=2)
        assert model().conditions == ("noise", "noise_samples", "noise_level")
        for method in (plain, regression, both):
            assert method.conditions == ()
            with pytest.raises(RestorationError, match="knows no conditions, and was told noise, noise_samples"):
                method.restore(method.nets(), self.noisy, Draws([0, 1, 2]), conditions([300] * 3))


def test_a_run_with_a_condition_starts_from_one_without(corpus: Path, tmp_path: Path) -> None:
    """As ``train --init-from`` does: everything but the condition is found, nothing goes unused."""
    trained = []
    for name, content, start in (("plain", SCORE, None), ("told", TOLD, tmp_path / "plain" / "checkpoints")):
        AcceleratorState._reset_state(reset_partial_state=True)
        raw = {**content, "training": {"steps": 2, "batch": 2}}
        source = next(start.glob("step-*[0-9].safetensors")) if start else None
        plan = plan_run(raw, Options(workers=0, device="cpu", log_every=1), corpus, source)
        folder = RunFolder(tmp_path / name)
        trainer = Trainer(plan, folder, [].append)
        assert trainer.fit().step == 2
        folder.close()
        trained.append(trainer)
    missing, unused = trained[1].started_from
    assert unused == []
    assert set(missing) == {f"net.{k}" for k in trained[1].state.nets["net"].state_dict() if k.startswith("cond.")}
    rows = read_history(tmp_path / "told" / "history.jsonl")
    assert all(row["turns"]["net"]["notes"]["no_reference"] == 0 for row in rows)
    assert all(0 <= row["turns"]["net"]["notes"]["dropped"] <= 1 for row in rows)


def test_condition_and_conditioning_come_together() -> None:
    told = NCSNpp(**TINY, cond=NoiseCondition(LightEncoder(16), (AdaGN(8),)))
    with pytest.raises(RecipeError, match=r"net\.cond: the method does not use it"):
        ScoreModel(told, FEATURES, OUVE(), frame_grid=2)
    with pytest.raises(RecipeError, match="NCSNpp has no noise condition"):
        ScoreModel(NCSNpp(**TINY), FEATURES, OUVE(), frame_grid=2, conditioning=NoiseConditioning())
    with pytest.raises(RecipeError, match="DCUNet has no noise condition"):
        ScoreModel(DCUNet(widths=(2, 2, 2, 2, 2, 2), embedding=8), CompressedSTFT(512, 256), OUVE(), frame_grid=1,
                   conditioning=NoiseConditioning())  # fmt: skip
    with pytest.raises(RecipeError, match="Regression tells its nets nothing beside the spectra"):
        Regression(told, FEATURES, (L1(),), frame_grid=2)
    with pytest.raises(RecipeError, match=r"net\.cond: unknown key of MPUNet"):
        recipe.plan({"type": "ScoreModel", "net": {"type": "MPUNet", "cond": {}}, "path": {"type": "OUVE"},
                     "features": {"type": "CompressedSTFT"}}, Method, "method")  # fmt: skip


@pytest.mark.parametrize("name", ["noise-film", "noise-film-scaled", "noise-small"])
def test_recipes_are_guided_by_short_names_and_have_an_unconditional_twin(name: str) -> None:
    node = recipe.read(name)["method"]
    whole = recipe.plan(node, Method, "method").as_dict()
    assert recipe.in_full(whole, "guidance_scale=1.5") == "conditioning.guidance_scale=1.5"
    assert recipe.in_full(whole, "guidance_interval=[0.1,1]") == "conditioning.guidance_interval=[0.1,1]"
    twin = recipe.read(name, ["method.net.cond=null", "method.conditioning=null"])["method"]
    small = {"channels": 8, "blocks": 1}
    nets: list[nn.Module] = []
    for method in (node, twin):
        torch.manual_seed(1)
        nets.append(recipe.plan({**method, "net": {**method["net"], **small}}, Method, "method").build().nets()["net"])
    told, plain = (net.state_dict() for net in nets)
    assert {key for key in told if not key.startswith("cond.")} == set(plain)
    assert all(torch.equal(told[key], tensor) for key, tensor in plain.items())
