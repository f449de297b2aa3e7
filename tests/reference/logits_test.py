"""The logits of imported models, all at once and token by token, are transformers'."""

import numpy as np
import torch

import hf_models
import rondo_runs
from rondo_runs import RondoTest

SEQUENCE = 24


class Logits(RondoTest):

    def test_of_every_family_are_those_of_transformers(self):
        tokens = torch.randint(0, hf_models.VOCAB, (SEQUENCE,),
                               generator=torch.Generator().manual_seed(5)).tolist()
        for family, config in hf_models.configs(4).items():
            hf_models.save_random_model(config, self.folder / family)
            self.rondo("convert", "--from", f"hf:{family}", "--to", f"{family}.h5")
            with torch.no_grad():
                model = hf_models.load(self.folder / family, torch.float32)
                expected = model(torch.tensor([tokens])).logits[0].numpy()
            for way in ("whole", "step"):
                with self.subTest(family=family, way=way):
                    ours = hf_models.logits_of(self, f"{family}.h5", way, tokens)
                    self.assertLess(np.abs(ours - expected).max(), 1e-5)


if __name__ == "__main__":
    rondo_runs.main()
