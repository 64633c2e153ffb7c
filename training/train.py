"""Train the demo model from scratch, or further, on a folder of speech for so many minutes.

python -m training.train --speech DIR --tokenizer tokenizer.json --out HF_DIR --minutes M
python -m training.train --speech DIR --start HF_DIR --out HF_DIR --minutes M --peak 7e-4
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import tokenizers
import torch

from training.batches import BATCH, Batch, endless_batches, load_corpus
from training.model import Learner, load, new_learner, save
from training.schedule import ctc_weight, learning_rate
from training.tokenizer import Vocabulary

#: Highest learning rate of a run from scratch; a run that continues wants about a third.
PEAK = 2e-3
#: Longest gradient: early steps through CTC overshoot without it.
LONGEST_GRADIENT = 1.0
#: Steps from one line of progress to the next.
REPORT_EVERY = 20
#: Seconds from one saved state to the next, so that an interrupted run is not lost.
SAVE_EVERY = 600.0


def train(learner: Learner, batches: Iterator[Batch], options: argparse.Namespace) -> Iterator[int]:
    """Take steps until the minutes are over, yielding the number of each."""
    device = torch.device(options.device)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=options.peak, betas=(0.9, 0.98))
    learner.to(device).train()
    started_at = time.monotonic()
    for step, batch in enumerate(batches):
        progress = (time.monotonic() - started_at) / (60 * options.minutes)
        if progress >= 1:
            return
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.peak, step, progress)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bfloat16):
            said, heard = learner.losses(batch, device)
        optimizer.zero_grad()
        (said + ctc_weight(progress) * heard).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), LONGEST_GRADIENT)
        optimizer.step()
        if step % REPORT_EVERY == 0:
            print(f"step {step:5} {progress:4.0%} loss {said.item():.3f} ctc {heard.item():.3f}", flush=True)
        yield step


def main() -> None:
    """The command line."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    if options.start:
        learner, vocabulary = load(options.start)
    else:
        vocabulary = Vocabulary(tokenizers.Tokenizer.from_file(str(options.tokenizer)))
        learner = new_learner(vocabulary)
    corpus = load_corpus(options.speech)
    print(
        f"{sum(map(len, corpus.values()))} clips, {learner.whisper.num_parameters():,} parameters", flush=True
    )
    batches = endless_batches(corpus, vocabulary, Random(options.seed), options.batch)
    steps, saved_at = 0, time.monotonic()
    for step in train(learner, batches, options):
        steps = step + 1
        if time.monotonic() > saved_at + SAVE_EVERY:
            save(learner, vocabulary, options.out)
            saved_at = time.monotonic()
    save(learner, vocabulary, options.out)
    print(f"{steps} steps, saved in {options.out}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__.split("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="HF_DIR")
    parser.add_argument("--minutes", type=float, required=True)
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--tokenizer", type=Path, metavar="FILE", help="begin from scratch with this")
    start.add_argument("--start", type=Path, metavar="HF_DIR", help="continue from this model")
    parser.add_argument("--peak", type=float, default=PEAK, help="highest learning rate")
    parser.add_argument("--batch", type=int, default=BATCH, help="examples a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--bfloat16", action="store_true", help="fast on cores with AMX, slow on others")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
