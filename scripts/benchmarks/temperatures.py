"""What the packaged Alice writes at some temperatures, and how much of it is her own."""

from statistics import mean

from char_lstm import NoveltyIndex, generate_text, load_decoder, measure_novelty
from char_lstm.paths import PRETRAINED

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
SEEDS = range(20)


def measure() -> dict:
    """Every text has 500 characters, drawn with no other limit; shares and copies are means over the seeds."""
    model, index = load_decoder(PRETRAINED / "alice"), NoveltyIndex.load(PRETRAINED / "alice")
    sheet = {}
    for temperature in TEMPERATURES:
        texts = [generate_text(*model, temperature=temperature, top_p=1.0, seed=seed) for seed in SEEDS]
        novelties = [measure_novelty(text, index) for text in texts]
        sheet[temperature] = {
            "share_new": mean(novelty.share_new for novelty in novelties),
            "longest_copy": mean(novelty.longest_copy for novelty in novelties),
            "sample": texts[0],
        }
    return {
        "sheet": sheet,
        "seeds": len(SEEDS),
        "unit": "share of characters in no copy of 20 or more",
        "figures": {f"temperature {temperature}": row["share_new"] for temperature, row in sheet.items()},
    }
