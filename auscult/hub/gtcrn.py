"""Published GTCRN checkpoints (Xiaobin-Rong/gtcrn): a dict with ``model``, ``optimizer`` and ``epoch``."""

from auscult.hub.keys import Table

KEYS: Table = (
    (r"^erb\..*", ""),  # computed, not learned
    (r"^encoder\.en_convs", "encoder"),
    (r"^decoder\.de_convs", "decoder"),
    (r"^dpgrnn1\.", "recurrent.0."),
    (r"^dpgrnn2\.", "recurrent.1."),
    (r"\.(intra|inter)_rnn\.rnn1", r".\1.parts.0"),
    (r"\.(intra|inter)_rnn\.rnn2", r".\1.parts.1"),
    (r"\.(intra|inter)_fc", r".\1_linear"),
    (r"\.(intra|inter)_ln", r".\1_norm"),
    (r"\.point_conv1", ".point_in"),
    (r"\.point_bn1", ".norm_in"),
    (r"\.point_act", ".act_in"),
    (r"\.depth_conv", ".depthwise"),
    (r"\.depth_bn", ".norm_depth"),
    (r"\.depth_act", ".act_depth"),
    (r"\.point_conv2", ".point_out"),
    (r"\.point_bn2", ".norm_out"),
    (r"\.tra\.att_gru", ".attention.gru"),
    (r"\.tra\.att_fc", ".attention.linear"),
    (r"\.bn\.", ".norm."),
)
