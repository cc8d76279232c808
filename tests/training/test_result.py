"""How a run ends."""

import pickle

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.result import Diverged


def test_a_divergence_names_step_rate_and_checkpoint_and_survives_the_way_between_processes() -> None:
    error = Diverged.at_step(TrainingConfig(learning_rate=0.01, max_steps=20, warmup_steps=2), 3, float("nan"), None)
    assert str(pickle.loads(pickle.dumps(error))) == (
        "Training diverged and was stopped.\n\n"
        "training.learning_rate = 0.01\n"
        "  made the loss NaN at step 3 of 20; there is no checkpoint yet\n"
        "  try: training.learning_rate=0.003"
    )
