"""The catalogue: every part that a recipe can name, as ``name -> "module:Class"``. Importing it imports nothing.

A recipe may also name a class of the user's own package, ``my_pkg.nets.MyNet``; a checkpoint that does is only
opened when that package is declared trusted.
"""

import importlib
from collections.abc import Collection, Mapping
from types import MappingProxyType

from auscult.errors import RecipeError, TrustError, nearest

CATALOGUE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "method": {
            "FlowModel": "auscult.methods.flow:FlowModel",
            "MetricGAN": "auscult.methods.metric_gan:MetricGAN",
            "Regression": "auscult.methods.regression:Regression",
            "ScoreModel": "auscult.methods.score:ScoreModel",
            "StoRM": "auscult.methods.storm:StoRM",
        },
        "net": {
            "BandGRU": "auscult.nets.bandgru:BandGRU",
            "DCUNet": "auscult.nets.dcunet:DCUNet",
            "GTCRN": "auscult.nets.gtcrn:GTCRN",
            "MPSENet": "auscult.nets.mpsenet:MPSENet",
            "MPUNet": "auscult.nets.edm2:MPUNet",
            "NCSNpp": "auscult.nets.ncsnpp:NCSNpp",
            "TFGridNet": "auscult.nets.tfgridnet:TFGridNet",
            "TSCNet": "auscult.nets.tscnet:TSCNet",
        },
        "flow_net": {
            "ConditionedDiT": "auscult.nets.flow_net:ConditionedDiT",
            "SpectralFlow": "auscult.nets.flow_net:SpectralFlow",
        },
        "text_encoder": {
            "HashedWords": "auscult.nets.text_encoder:HashedWords",
            "T5Text": "auscult.nets.text_encoder:T5Text",
        },
        "latent_net": {"DiT": "auscult.nets.dit:DiT"},
        "codec": {"Oobleck": "auscult.nets.oobleck:Oobleck"},
        "number_embedder": {"NumberEmbedder": "auscult.nets.number_embedder:NumberEmbedder"},
        "rolloff": {
            "LearnedRolloff": "auscult.nets.number_embedder:LearnedRolloff",
            "FixedRolloff": "auscult.nets.number_embedder:FixedRolloff",
        },
        "condition": {"NoiseCondition": "auscult.nets.condition:NoiseCondition"},
        "noise_encoder": {
            "ConvStatistics": "auscult.nets.noise_encoder:ConvStatistics",
            "LightEncoder": "auscult.nets.noise_encoder:LightEncoder",
            "TokenEncoder": "auscult.nets.noise_encoder:TokenEncoder",
            "PSDEncoder": "auscult.nets.noise_encoder:PSDEncoder",
            "PretrainedEncoder": "auscult.nets.pretrained_encoder:PretrainedEncoder",
        },
        "injection": {
            "Additive": "auscult.nets.injection:Additive",
            "AdaGN": "auscult.nets.injection:AdaGN",
            "CrossAttention": "auscult.nets.injection:CrossAttention",
            "SpectralChannel": "auscult.nets.injection:SpectralChannel",
            "NASEAddition": "auscult.nets.injection:NASEAddition",
        },
        "discriminator": {"MetricDiscriminator": "auscult.nets.discriminators:MetricDiscriminator"},
        "features": {"CompressedSTFT": "auscult.features.spectral:CompressedSTFT"},
        "domain": {
            "Latents": "auscult.features.latent:Latents",
            "SpectralFrames": "auscult.features.latent:SpectralFrames",
            "UpperBand": "auscult.features.latent:UpperBand",
        },
        "time_law": {
            "UniformTimes": "auscult.methods.flow_times:UniformTimes",
            "LogitNormal": "auscult.methods.flow_times:LogitNormal",
            "TruncatedLogitNormal": "auscult.methods.flow_times:TruncatedLogitNormal",
            "LogSNRTimes": "auscult.methods.flow_times:LogSNRTimes",
        },
        "flow_sampler": {
            "FlowEuler": "auscult.samplers.flow:FlowEuler",
            "FlowHeun": "auscult.samplers.flow:FlowHeun",
            "FlowMultistep": "auscult.samplers.flow:FlowMultistep",
        },
        "time_grid": {
            "UniformGrid": "auscult.samplers.flow:UniformGrid",
            "LinearQuadratic": "auscult.samplers.flow:LinearQuadratic",
            "LogSNR": "auscult.samplers.flow:LogSNR",
        },
        "path": {
            "OUVE": "auscult.paths.ouve:OUVE",
            "SBVE": "auscult.paths.sbve:SBVE",
            "BBED": "auscult.paths.bbed:BBED",
            "VE": "auscult.paths.ve:VE",
            "VP": "auscult.paths.vp:VP",
            "SubVP": "auscult.paths.vp:SubVP",
            "OUVPAsCoded": "auscult.paths.vp:OUVPAsCoded",
            "RectifiedFlow": "auscult.paths.linear:RectifiedFlow",
        },
        "parametrisation": {
            "NegativeScore": "auscult.methods.parametrisation:NegativeScore",
            "ScaledScore": "auscult.methods.parametrisation:ScaledScore",
            "Denoiser": "auscult.methods.parametrisation:Denoiser",
            "DataPrediction": "auscult.methods.parametrisation:DataPrediction",
            "Residual": "auscult.methods.parametrisation:Residual",
            "BridgeResidual": "auscult.methods.bridge:BridgeResidual",
        },
        "objective": {
            "ScoreMatching": "auscult.methods.objective:ScoreMatching",
            "DenoiserMatching": "auscult.methods.objective:DenoiserMatching",
            "DataMatching": "auscult.methods.objective:DataMatching",
        },
        "sampler": {
            "PredictorCorrector": "auscult.samplers.predictor_corrector:PredictorCorrector",
            "DDIM": "auscult.samplers.few_step:DDIM",
            "Ancestral": "auscult.samplers.few_step:Ancestral",
            "Multistep": "auscult.samplers.few_step:Multistep",
            "Heun": "auscult.samplers.few_step:Heun",
            "ProbabilityFlow": "auscult.samplers.probability_flow:ProbabilityFlow",
            "BridgeODE": "auscult.samplers.bridge:BridgeODE",
            "BridgeSDE": "auscult.samplers.bridge:BridgeSDE",
        },
        "loss": {
            "CompressedSpectrum": "auscult.losses.spectral:CompressedSpectrum",
            "LimitedSISDR": "auscult.losses.waveform:LimitedSISDR",
            "L1": "auscult.losses.waveform:L1",
            "MultiResolutionL1": "auscult.losses.multiresolution:MultiResolutionL1",
            "SpectrumL1": "auscult.losses.multiresolution:SpectrumL1",
            "PESQLoss": "auscult.losses.perceptual:PESQLoss",
        },
        "spectrum_loss": {
            "MagnitudeError": "auscult.losses.spectral:MagnitudeError",
            "ComplexError": "auscult.losses.spectral:ComplexError",
            "PhaseLoss": "auscult.losses.phase:PhaseLoss",
        },
        "data": {
            "Mixture": "auscult.data.pairs:Mixture",
            "Pairs": "auscult.data.pairs:Pairs",
            "Referenced": "auscult.data.referenced:Referenced",
            "Described": "auscult.data.described:Described",
        },
        "degradation": {
            "AddNoise": "auscult.degrade.noise:AddNoise",
            "ColouredNoise": "auscult.degrade.noise:ColouredNoise",
            "Room": "auscult.degrade.room:Room",
            "ShapedNoise": "auscult.degrade.shaped:ShapedNoise",
            "MainsHum": "auscult.degrade.interference:MainsHum",
            "Wind": "auscult.degrade.interference:Wind",
            "Clicks": "auscult.degrade.interference:Clicks",
            "Gain": "auscult.degrade.channel:Gain",
            "DcOffset": "auscult.degrade.channel:DcOffset",
            "Clipping": "auscult.degrade.channel:Clipping",
            "BandLimit": "auscult.degrade.band:BandLimit",
            "HighPass": "auscult.degrade.band:HighPass",
            "BandPass": "auscult.degrade.band:BandPass",
            "Resampled": "auscult.degrade.band:Resampled",
            "RandomLowPass": "auscult.degrade.lowpass:RandomLowPass",
            "Codec": "auscult.degrade.codec:Codec",
            "PacketLoss": "auscult.degrade.packets:PacketLoss",
            "SpecAugment": "auscult.degrade.augment:SpecAugment",
        },
        "metric": {
            "pesq": "auscult.metrics.perceptual:PesqWideband",
            "pesq_nb": "auscult.metrics.perceptual:PesqNarrowband",
            "stoi": "auscult.metrics.perceptual:Stoi",
            "estoi": "auscult.metrics.perceptual:ExtendedStoi",
            "si_sdr": "auscult.metrics.energy:SiSdr",
            "si_sir": "auscult.metrics.energy:SiSir",
            "si_sar": "auscult.metrics.energy:SiSar",
            "sdr": "auscult.metrics.energy:Sdr",
            "sdr_bss": "auscult.metrics.energy:SdrBssEval",
            "snr": "auscult.metrics.energy:Snr",
            "seg_snr": "auscult.metrics.composite:SegmentalSnr",
            "lsd": "auscult.metrics.spectral:Lsd",
            "lsd_low": "auscult.metrics.spectral:LsdLow",
            "lsd_high": "auscult.metrics.spectral:LsdHigh",
            "lsd_ssr_eval": "auscult.metrics.spectral:LsdSsrEval",
            "lsd_audiosr": "auscult.metrics.spectral:LsdAudioSr",
            "lsd_voicefixer": "auscult.metrics.spectral:LsdVoiceFixer",
            "lsd_apbwe": "auscult.metrics.spectral:LsdApBwe",
            "lsd_symmetric": "auscult.metrics.spectral:LsdSymmetric",
            "lsd_universr": "auscult.metrics.spectral:LsdUniverSr",
            "rolloff_error": "auscult.metrics.superresolution:RollOffError",
            "low_band_deviation": "auscult.metrics.superresolution:LowBandDeviation",
            "log_mel": "auscult.metrics.spectral:LogMel",
            "mr_stft": "auscult.metrics.spectral:MultiResolutionStft",
            "llr": "auscult.metrics.composite:Llr",
            "wss": "auscult.metrics.composite:Wss",
            "csig": "auscult.metrics.composite:Csig",
            "cbak": "auscult.metrics.composite:Cbak",
            "covl": "auscult.metrics.composite:Covl",
            "dnsmos_sig": "auscult.metrics.dnsmos:DnsmosSig",
            "dnsmos_bak": "auscult.metrics.dnsmos:DnsmosBak",
            "dnsmos_ovrl": "auscult.metrics.dnsmos:DnsmosOvrl",
            "dnsmos_sig_raw": "auscult.metrics.dnsmos:DnsmosSigRaw",
            "dnsmos_bak_raw": "auscult.metrics.dnsmos:DnsmosBakRaw",
            "dnsmos_ovrl_raw": "auscult.metrics.dnsmos:DnsmosOvrlRaw",
            "dnsmos_p808": "auscult.metrics.dnsmos:DnsmosP808",
            "loudness": "auscult.metrics.blind:Loudness",
            "clipping": "auscult.metrics.blind:ClippedShare",
            "band_edge": "auscult.metrics.blind:BandEdge",
        },
        "schedule": {
            "Constant": "auscult.train.schedule:Constant",
            "WarmupCosine": "auscult.train.schedule:WarmupCosine",
            "CosineRestarts": "auscult.train.schedule:CosineRestarts",
            "StepDecay": "auscult.train.schedule:StepDecay",
            "Plateau": "auscult.train.schedule:Plateau",
        },
    }
)

TARGETS: Mapping[str, str] = MappingProxyType({name: at for kind in CATALOGUE.values() for name, at in kind.items()})


def find(name: str) -> type:
    """The class a recipe names: of the catalogue, or ``package.module.Class`` of the user's own.

    Raises:
        RecipeError: unknown name, or a class that cannot be imported.
    """
    if name in TARGETS:
        module, _, attribute = TARGETS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    if "." not in name:
        message = f"'{name}' is not in the catalogue{nearest(name, TARGETS)}"
        raise RecipeError(f"{message}; give one of `auscult models --parts`, or package.module.Class of your own")
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise RecipeError(f"'{name}' cannot be imported ({error}); is its package installed or on the path?") from error
    if not isinstance(found, type):
        raise RecipeError(f"'{name}' is a {type(found).__name__}, a class is needed")
    return found


def check_trust(names: Collection[str], trust: Collection[str], origin: str) -> None:
    """Refuse classes from outside auscult in a file, unless their package is declared trusted.

    Raises:
        TrustError: a name is neither in the catalogue nor in a trusted package.
    """
    for name in names:
        package = name.partition(".")[0]
        if name not in TARGETS and package not in trust:
            raise TrustError(
                f"{origin}: asks for the class '{name}' from outside auscult, which would run its code; "
                f"if you trust it, add --trust {package}"
            )
