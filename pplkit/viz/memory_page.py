"""Prior and memory on a page without a server: sliders for a bank and its vectors, and the pose that comes of them."""

import json
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex

from pplkit.evaluation.memory_analysis import bank_poses
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz.drawing import keypoint_colors, strong_links

SCRIPT = Path(__file__).parent / "widgets" / "memory_explorer.js"
SECTION = """<section class="memory"><style>
.memory {{ font: 14px system-ui, sans-serif; box-sizing: border-box;
  max-width: 34rem; margin: 1rem auto; padding: 0 12px 24px }}
.memory label {{ display: grid; grid-template-columns: 4rem minmax(0, 1fr) 8rem; gap: 8px;
   align-items: center; margin: 6px 0 }}
.memory input {{ width: 100%; min-width: 0 }}
.memory svg {{ display: block; width: 100%; max-height: 70vh; border: 1px solid #8886; border-radius: 6px }}
</style><h2>Prior and memory</h2>
<p>The typical pose that was learned without labels. Each bank of the memory holds vectors; choose one in place of the
bank's mean and see what it does to the pose.</p>
<label>bank <input type="range" min="1" max="1" value="1"> <output></output></label>
<label>vector <input type="range" min="0" max="0" value="0"> <output></output></label>
<button type="button">Back to the prior</button>
<svg viewBox="-1.05 -1.05 2.1 2.1" role="img" aria-label="the pose"></svg></section>
<script type="application/json" id="memory">{content}</script>
<script type="module">
{script}
explore(document.querySelector(".memory"), JSON.parse(document.getElementById("memory").textContent));
</script>"""


def memory_section(model: PosePriorLearner) -> str:
    """HTML to explore the prior of a model and what each vector of its memory does to it."""
    prior = model.prior()
    links, strengths = strong_links(prior)
    content = {
        "prior": _rounded(prior.keypoints),
        "links": [[i, j, round(strength, 3)] for (i, j), strength in zip(links, strengths, strict=True)],
        "banks": [_rounded(bank_poses(model, bank)) for bank in range(model.config.banks)],
        "colors": [to_hex(color) for color in keypoint_colors(len(prior.keypoints))],
    }
    return SECTION.format(content=json.dumps(content), script=SCRIPT.read_text(encoding="utf8"))


def _rounded(points: np.ndarray) -> object:
    return np.round(np.asarray(points, np.float64), 3).tolist()
