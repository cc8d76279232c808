"""What Hypothesis draws from."""

from hypothesis import strategies as st

from gpt2hydra.config.gpt2 import GPT2Config

probabilities = st.floats(0, 1, allow_nan=False)


@st.composite
def gpt2_configs(draw: st.DrawFn, most_layers: int = 48, most_width: int = 64) -> GPT2Config:
    """Valid shapes."""
    n_head = draw(st.integers(1, 25))
    return GPT2Config(
        vocab_size=draw(st.integers(1, 60_000)),
        n_positions=draw(st.integers(1, 4096)),
        n_embd=n_head * draw(st.integers(1, most_width)),
        n_layer=draw(st.integers(1, most_layers)),
        n_head=n_head,
        resid_pdrop=draw(probabilities),
        embd_pdrop=draw(probabilities),
        attn_pdrop=draw(probabilities),
        layer_norm_epsilon=draw(st.floats(1e-12, 1e-1)),
    )
