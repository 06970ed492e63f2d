#!/usr/bin/env python3
"""Molecules grown block by block in PyTorch, by the published loop, beside equidrift: graphs per second, turn by turn, and their ratio.

    cargo build --release -p equidrift-cli && cargo bench --bench pard_cost_curve --no-run
    python benches/peer/pard_generation.py [--threads 2] [--graphs 32] [--calls 20] [--rounds 3]

Needs torch, numpy and safetensors from PyPI. The published loop: a batch of graphs at the same block, every step a call of the network
on the whole graph so far under the causal mask, classes of the last block drawn again. Both sides have the layer sizes published for QM9
with hydrogens (hidden 256, edge 64, 8 layers, 8 heads), random weights and graphs of 18 atoms in nine blocks of two; the heads that
choose sizes are left out here and at work in equidrift. First the network written here is compared with `equidrift forward` for the
embedded model `qm9-pard-k3` on graphs half grown.
"""
import argparse, json, os, resource, statistics, subprocess, sys, tempfile, time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

from pard_denoiser import ROOT, Denoiser

MODEL = ROOT / "crates/zoo/models/qm9-pard-k3"
NODES, BLOCK = 18, 2


class BlockDenoiser(Denoiser):
    """The denoiser under a causal mask: a node sees its own block and the blocks before it."""

    def __init__(self, config, weights):
        super().__init__(config, weights)
        self.time_of = config["network"].get("time_of", "all")

    def embed(self, x, a, t):
        h, e = super().embed(x, a, t)
        k = torch.arange(self.e // 2)
        d = torch.arange(int(self.blocks.max()) + 1)
        angle = (1.0 / (d + 1.0))[:, None] * 10.0 ** (-k / (self.e / 2))
        table = self.mlp("edge_conditioner.0", torch.cat([angle.cos(), angle.sin()], 1), ("layer1", "layer2"))
        return h, e + table[(self.blocks[:, None] - self.blocks[None]).abs()]

    def of_blocks(self, n):
        degree, size = (self.w(f"input_conditioner.1.block_{what}_embedding.weight") for what in ("degree", "size"))
        return self.w("input_conditioner.0.block_id_embedding.weight")[self.blocks + 1] + degree[self.degrees] + size[self.sizes]

    def seen_adjacency(self, a):
        return super().seen_adjacency(a) * self.mask

    def timed(self, shift):
        if self.time_of == "all":
            return shift
        return shift * (self.blocks == self.blocks.max())[None, :, None]

    def shares(self, scores):
        return scores.masked_fill(~self.mask[None, :, :, None], -1e30).softmax(2)

    def product(self, left, right):
        seen = self.mask.float()
        row, column = left * seen, right * seen.T
        return row @ (right - column) + left @ column

    def pair_mean(self, e):
        seen = self.mask.float()[None, :, :, None]
        return (0.5 * (e + e.transpose(1, 2)) * seen).sum(2) / seen.sum(2)

    def at(self, blocks, sizes, degrees):
        """Sets the block of every node, its size and its degree."""
        self.blocks, self.sizes, self.degrees = blocks, sizes, degrees
        self.mask = blocks[:, None] >= blocks[None]
        return self


def check(programme):
    """Largest difference to the logits of `equidrift forward` for the last block, relative to the largest logit."""
    config = json.loads((MODEL / "config.json").read_text())
    model = BlockDenoiser(config, load_file(str(MODEL / "model.safetensors")))
    sizes, degrees, batch = [3, 2, 2], [2, 1, 1], 4
    blocks = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    n = len(blocks)
    rng = np.random.default_rng(1)
    x = np.eye(model.classes[0], dtype=np.float32)[rng.integers(0, model.classes[0] - 1, (batch, n))]
    kinds = np.triu(rng.choice(model.classes[1] - 1, (batch, n, n), p=[0.6, 0.25, 0.1, 0.05]), 1)
    a = np.eye(model.classes[1], dtype=np.float32)[kinds + kinds.transpose(0, 2, 1)]
    a *= (1.0 - np.eye(n, dtype=np.float32))[None, :, :, None]
    t = rng.integers(1, model.steps + 1, batch)
    last = (blocks == 2).numpy()
    # `forward` takes a doubled sequence: the real nodes, then the virtual ones, which see the real ones of earlier blocks.
    place = np.concatenate([np.arange(n), np.arange(n)])
    virtual = np.arange(len(place)) >= n
    tensors = {
        "in.nodes_blockid": np.tile(blocks.numpy()[place], (batch, 1)), "in.virtual": np.tile(virtual, (batch, 1)),
        "in.block_size": np.tile(sizes, (batch, 1)), "in.block_degree": np.tile(degrees, (batch, 1)),
        "in.t": t, "in.nodes_x_t": x[:, place], "in.edges_x_t": a[:, place][:, :, place],
    }
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        save_file({k: np.ascontiguousarray(v.astype(np.float32)) for k, v in tensors.items()}, inputs)
        subprocess.run([programme, "forward", "--model", MODEL, "--inputs", inputs, "--output", outputs], check=True)
        ours = load_file(outputs)
    model.at(blocks, torch.tensor(sizes)[blocks], torch.tensor(degrees)[blocks])
    with torch.no_grad():
        nodes, pairs = (logits.numpy() for logits in model(torch.tensor(x), torch.tensor(a), torch.tensor(t)))
    new = last[:, None] & ~np.eye(n, dtype=bool)
    rows = np.where(last, n + np.arange(n), np.arange(n))  # what the virtual nodes of the last block see
    pair_logits = ours["out.eval.edge_logit"][:, rows][:, :, rows]
    there = [ours["out.eval.node_logit"][:, n:][:, last], pair_logits[:, new]]
    return max(float(np.abs(p - q).max() / np.abs(q).max()) for p, q in zip(there, [nodes[:, last], pairs[:, new]]))


def published():
    """The network that equidrift measures, with random weights."""
    command = ["cargo", "bench", "--quiet", "--bench", "pard_cost_curve", "--", "--shapes", str(NODES)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    rng = np.random.default_rng(2)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in found["shapes"].items() if name.startswith("denoise.")
    }
    return BlockDenoiser({**json.loads((MODEL / "config.json").read_text()), "network": found["network"]}, weights)


@torch.no_grad()
def generate(model, graphs, calls):
    """The published loop: the last block of every graph by `calls` steps, then the next block of all."""
    nodes, kinds = (classes - 1 for classes in model.classes)
    x, a = torch.zeros(graphs, 0, nodes + 1), torch.zeros(graphs, 0, 0, kinds + 1)
    for block in range(NODES // BLOCK):
        n = (block + 1) * BLOCK
        blocks = torch.arange(n) // BLOCK
        model.at(blocks, torch.full((n,), BLOCK), torch.ones(n, dtype=torch.long))
        new = blocks == block
        drawn = new[:, None] | new[None]
        off = ~torch.eye(n, dtype=torch.bool)
        def fill(x_new, a_new):
            full_x, full_a = torch.zeros(graphs, n, nodes + 1), torch.zeros(graphs, n, n, kinds + 1)
            full_x[:, : n - BLOCK], full_a[:, : n - BLOCK, : n - BLOCK] = x, a
            full_x[:, new] = F.one_hot(x_new, nodes + 1).float()
            pairs = F.one_hot(a_new, kinds + 1).float() * off[None, :, :, None]
            return full_x, torch.where(drawn[None, :, :, None], torch.maximum(pairs, pairs.transpose(1, 2)), full_a)
        def draw(node_logits, pair_logits):
            x_new = torch.distributions.Categorical(logits=node_logits[:, new, :nodes]).sample()
            kind = torch.distributions.Categorical(logits=pair_logits[..., :kinds]).sample().tril(-1)
            return x_new, kind + kind.transpose(1, 2)
        now = fill(*draw(torch.zeros(graphs, n, nodes), torch.zeros(graphs, n, n, kinds)))
        for step in range(calls, 0, -1):
            now = fill(*draw(*model(*now, torch.full((graphs,), step))))
        x, a = now
    return x, a


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--threads", type=int, default=os.cpu_count())
    parse.add_argument("--graphs", type=int, default=32)
    parse.add_argument("--calls", type=int, default=20)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--programme", default=str(ROOT / "target/release/equidrift"))
    args = parse.parse_args()
    torch.set_num_threads(args.threads)
    error = check(args.programme)
    print(f"largest difference to `equidrift forward`: {error:.1e}")
    assert error < 1e-4, "the networks differ"
    model = published()
    model.steps = args.calls
    print(f"{sum(p.numel() for p in model.parameters())} weights in the denoiser, {NODES} nodes in blocks of {BLOCK}, {args.calls} calls a block")
    generate(model, 2, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    theirs, ours, memory = [], [], 0
    for _ in range(args.rounds):
        start = time.perf_counter()
        generate(model, args.graphs, args.calls)
        theirs.append(args.graphs / (time.perf_counter() - start))
        command = ["cargo", "bench", "--quiet", "--bench", "pard_cost_curve", "--", "--rate"]
        numbers = [str(k) for k in (NODES, args.calls, args.threads, args.graphs)]
        found = subprocess.run(command + numbers, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
        ours.append(float(found[0]))
        memory = max(memory, int(found[1]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, rates, mib in [("PyTorch, published loop", theirs, peak), ("equidrift", ours, memory)]:
        print(f"{name:24} {statistics.median(rates):6.3f} graphs/s ({min(rates):.3f} to {max(rates):.3f}), peak {mib:.0f} MiB")
    print(f"ratio {statistics.median(ours) / statistics.median(theirs):.2f}; PyTorch's peak before the loop was {before:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
