"""What each character of a text costs, by a torch model's own `forward`: long texts, on any device."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

CHUNK = 4096  # characters of one forward
ROWS = 64  # rows of one forward


@torch.inference_mode()
def score_carried(model, ids: list[int]) -> np.ndarray:
    """Nats of each character of a text given as ids, (time,): the state goes on from chunk to chunk."""
    text = torch.tensor([model.config.bos_token_id, *ids], device=model.device)
    state, nats = None, []
    for start in tqdm(range(0, len(ids), CHUNK), desc="carried", leave=False):
        read = text[start : start + CHUNK][: len(ids) - start].unsqueeze(0)  # (1, time)
        output = model(read, past_key_values=state, use_cache=True)
        state = output.past_key_values
        following = text[start + 1 : start + 1 + read.shape[1]]
        nats.append(cross_entropy(output.logits[0].double(), following, reduction="none").cpu().numpy())
    return np.concatenate(nats)


@torch.inference_mode()
def score_reset(model, rows: list[list[int]]) -> list[np.ndarray]:
    """Nats of each character of rows of ids, (time,) each, read from a newline and a fresh state, as an item is."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))  # rows of a batch about as long as each other
    scored: dict[int, np.ndarray] = {}
    for start in tqdm(range(0, len(rows), ROWS), desc="reset", leave=False):
        places = order[start : start + ROWS]
        batch = [torch.tensor([model.config.bos_token_id, *rows[place]], device=model.device) for place in places]
        padded = pad_sequence(batch, batch_first=True, padding_value=-100)  # (batch, time)
        logits = model(padded[:, :-1].clamp(min=0), use_cache=False).logits  # pads on the right change nothing before
        nats = cross_entropy(logits.double().transpose(1, 2), padded[:, 1:], reduction="none").cpu().numpy()
        scored.update((place, row[: len(rows[place])]) for place, row in zip(places, nats, strict=True))
    return [scored[place] for place in range(len(rows))]
