#!/usr/bin/env python3
"""Both score networks of GDSS at their published sizes in PyTorch, beside equidrift's fused engine: graphs per second, turn by
turn, and ratios.

    cargo build --release -p equidrift-cli && cargo bench --bench gdss_score --no-run
    python benches/peer/gdss_networks.py [--threads 2] [--batch 1024] [--rounds 3] [--no-compile] [--set NAME]

Needs torch, numpy and safetensors from PyPI. The networks are written here from the description in `crates/gdss/src`, batched over
graphs padded to the largest of the batch, as is usual there. First their outputs are compared with those of `equidrift forward` for
the weights of crates/zoo/models/qm9-gdss-ve. Then every round measures PyTorch (eager, and compiled) and equidrift one after the
other: an evaluation of both networks, and a training step (forward, loss, backward; no optimiser on either side). Ratios are of
medians. Graphs of molecules have the sizes of the training sets.

`--sample` compares the whole way from noise to 1,000 QM9 molecules instead: predictor-corrector with 1,000 steps (2,000 evaluations) as
published. PyTorch does 50 of the steps, and nothing after them; equidrift does all of it, and writes SMILES.
"""
import argparse, os, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "crates/zoo/models/qm9-gdss-ve"
# features; depth and width of the node network; layers, width and linear maps of the edge network
NETWORKS = {"qm9": (4, (2, 16), (3, 16, 3)), "zinc250k": (9, (2, 16), (6, 16, 3)), "community_small": (10, (3, 32), (5, 32, 2))}
# Nodes, and graphs of so many: those of the node_counts of the trained models (config.json).
SIZES = {
    "qm9": {2: 4, 3: 8, 4: 26, 5: 115, 6: 558, 7: 2903, 8: 16541, 9: 100645},
    "zinc250k": {
        6: 3, 7: 5, 8: 13, 9: 67, 10: 178, 11: 654, 12: 1053, 13: 1606, 14: 2532, 15: 3844, 16: 5695, 17: 7863, 18:
        10489, 19: 13065, 20: 15906, 21: 18296, 22: 16825, 23: 18950, 24: 20907, 25: 20537, 26: 17331, 27: 14237, 28:
        9057, 29: 6991, 30: 5478, 31: 4320, 32: 3375, 33: 2327, 34: 1553, 35: 925, 36: 358, 37: 126, 38: 2,
    },
    "community_small": {12: 21, 14: 20, 16: 15, 18: 13, 20: 11},
}
BATCH = {"qm9": 1024, "zinc250k": 1024, "community_small": 128}


class Scores(torch.nn.Module):
    """ScoreNetworkX and ScoreNetworkA."""

    def __init__(self, sizes, weights=None):
        super().__init__()
        self.features, (self.depth, self.nhid), (self.layers, self.width, self.linears) = sizes
        self.channels = [2] + [8] * (self.layers - 1) + [4]
        shapes = dict(self.shapes())
        if weights is None:
            torch.manual_seed(1)
            weights = {n: torch.randn(s) * (s[0] ** -0.5 if len(s) > 1 else 0.1) for n, s in shapes.items()}
        self.p = torch.nn.ParameterDict(
            {n.replace(".", "/"): torch.nn.Parameter(torch.as_tensor(weights[n])) for n in shapes})

    def shapes(self):
        def mlp(name, maps, inside, hidden, out):
            for k in range(maps):
                o, i = (out if k + 1 == maps else hidden), (inside if k == 0 else hidden)
                yield f"{name}.linears.{k}.weight", (o, i)
                yield f"{name}.linears.{k}.bias", (o,)

        def gcn(name, inside, out):
            yield f"{name}.weight", (inside, out)
            yield f"{name}.bias", (out,)

        f = self.features
        for k in range(self.depth):
            yield from gcn(f"x.layers.{k}", f if k == 0 else self.nhid, self.nhid)
        d = f + self.depth * self.nhid
        yield from mlp("x.final", 3, d, 2 * d, f)
        for l, (ci, co) in enumerate(zip(self.channels, self.channels[1:])):
            last, node_in, name = l + 1 == self.layers, f if l == 0 else self.width, f"adj.layers.{l}"
            for c in range(ci):
                for part in ("gnn_q", "gnn_k") + (() if last else ("gnn_v",)):
                    yield from gcn(f"{name}.attn.{c}.{part}", node_in, self.width)
            hidden = 2 * max(ci, co)
            if not last:
                yield from mlp(f"{name}.multi_channel", 2, ci * self.width, hidden, self.width)
            yield from mlp(f"{name}.mlp", self.linears, 2 * ci, hidden, co)
        e = sum(self.channels)
        yield from mlp("adj.final", 3, e, 2 * e, 1)

    def w(self, name):
        return self.p[name.replace(".", "/")]

    def mlp(self, name, maps, x):
        for k in range(maps):
            x = F.linear(x, self.w(f"{name}.linears.{k}.weight"), self.w(f"{name}.linears.{k}.bias"))
            if k + 1 < maps:
                x = F.elu(x)
        return x

    @staticmethod
    def normalised(a, eye):
        a = a * (1 - eye) + eye
        d = a.sum(-1).clamp_min(1.0).rsqrt()
        return d[..., :, None] * a * d[..., None, :]

    def gcn(self, name, x, matrix):
        return matrix @ (x @ self.w(name + ".weight")) + self.w(name + ".bias")

    def forward(self, x, adj, mask):
        n = x.shape[1]
        eye, rows = torch.eye(n), mask[..., None]
        pairs = mask[:, :, None] * mask[:, None, :]
        matrix, h = self.normalised(adj, eye), [x]
        for k in range(self.depth):
            h.append(torch.tanh(self.gcn(f"x.layers.{k}", h[-1], matrix)))
        out_x = self.mlp("x.final", 3, torch.cat(h, -1)) * rows

        a, kept = torch.stack([adj, adj @ adj], -1), []
        for l in range(self.layers):
            name, last, ci = f"adj.layers.{l}", l + 1 == self.layers, self.channels[l]
            kept.append(a)
            scores, values = [], []
            for c in range(ci):
                matrix = self.normalised(a[..., c], eye)
                q, k = (self.gcn(f"{name}.attn.{c}.{p}", x, matrix) for p in ("gnn_q", "gnn_k"))
                q, k = (z.unflatten(-1, (4, -1)).transpose(1, 2) for z in (q, k))
                s = torch.tanh(q @ k.transpose(-1, -2) * self.width ** -0.5).mean(1)
                scores.append(0.5 * (s + s.transpose(1, 2)))
                if not last:
                    values.append(self.gcn(f"{name}.attn.{c}.gnn_v", x, matrix))
            if not last:
                x = torch.tanh(self.mlp(f"{name}.multi_channel", 2, torch.cat(values, -1)) * rows)
            e = self.mlp(f"{name}.mlp", self.linears, torch.cat([torch.stack(scores, -1), a], -1))
            a = (e + e.transpose(1, 2)) * pairs[..., None]
        kept.append(a)
        out = self.mlp("adj.final", 3, torch.cat(kept, -1))[..., 0]
        return out_x, out * (1 - eye) * pairs


def batch(sizes, features, seed):
    rng = np.random.default_rng(seed)
    n = max(sizes)
    mask = (np.arange(n)[None] < np.array(sizes)[:, None]).astype(np.float32)
    x = rng.uniform(-1, 1, (len(sizes), n, features)).astype(np.float32) * mask[..., None]
    a = np.triu(rng.uniform(-1, 1, (len(sizes), n, n)), 1).astype(np.float32)
    return x, (a + a.transpose(0, 2, 1)) * mask[:, :, None] * mask[:, None, :], mask


def check(programme):
    """Largest difference to `equidrift forward`, relative to the largest output."""
    model = Scores(NETWORKS["qm9"], load_file(str(MODEL / "model.safetensors")))
    x, adj, mask = batch([9, 7, 8, 9], 4, 1)
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        save_file({"in.x": x, "in.adj": adj, "in.flags": mask, "in.t": np.full(4, 0.5, np.float32)}, inputs)
        subprocess.run([programme, "forward", "--model", "qm9-gdss-ve", "--inputs", inputs, "--output", outputs], check=True)
        ours = load_file(outputs)
    with torch.no_grad():
        here = model(torch.tensor(x), torch.tensor(adj), torch.tensor(mask))
    there = [ours["out.x.net"], ours["out.adj.net"]]
    return max(float(np.abs(p - q.numpy()).max() / np.abs(p).max()) for p, q in zip(there, here))


def spread(counts, size):
    """A batch of `size` graphs whose sizes follow the counts, in order of size."""
    total, sizes, passed = sum(counts.values()), [], 0
    for nodes, count in sorted(counts.items()):
        passed += count
        sizes += [nodes] * (round(passed * size / total) - len(sizes))
    return sizes


def pytorch_steps(model, sizes, steps, snr=0.2, scale=0.7, total=1000):
    """The first `steps` of `total` steps of the predictor-corrector on the variance-exploding path from 1 to 0.1."""
    torch.manual_seed(3)
    mask = (torch.arange(max(sizes))[None] < torch.tensor(sizes)[:, None]).float()
    pairs = mask[:, :, None] * mask[:, None, :]

    def nodes():
        return torch.randn(len(sizes), max(sizes), 4) * mask[..., None]

    def edges():
        z = torch.randn(len(sizes), max(sizes), max(sizes)).triu(1)
        return (z + z.transpose(1, 2)) * pairs

    def correct(v, g, z):
        norm = lambda a: a.flatten(1).norm(dim=1).mean()
        step = 2 * (snr * norm(z) / norm(g)) ** 2
        return v + step * g + (2 * step).sqrt() * z * scale

    sigma = torch.logspace(-1, 0, total)
    x, adj = nodes(), edges()
    with torch.no_grad():
        for k in range(total - 1, total - 1 - steps, -1):
            gx, ga = model(x, adj, mask)
            x, adj = correct(x, gx, nodes()), correct(adj, ga, edges())
            variance = sigma[k] ** 2 - sigma[k - 1] ** 2
            gx, ga = model(x, adj, mask)
            x, adj = x + variance * gx + variance.sqrt() * nodes(), adj + variance * ga + variance.sqrt() * edges()


def sample(args):
    """From noise to 1,000 molecules, turn by turn."""
    sizes, steps = spread(SIZES["qm9"], 1000), 50
    model = Scores(NETWORKS["qm9"], load_file(str(MODEL / "model.safetensors")))
    torch_rates, our_rates = [], []
    for number in range(args.rounds):
        start = time.perf_counter()
        pytorch_steps(model, sizes, steps)
        torch_rates.append(len(sizes) * steps / 1000 / (time.perf_counter() - start))
        with tempfile.TemporaryDirectory() as folder:
            command = "generate molecules --model qm9-gdss-ve --num 1000 --sampler predictor-corrector --steps 1000 --json"
            command = [args.programme, *command.split(), "--seed", str(number), "--threads", str(args.threads)]
            start = time.perf_counter()
            subprocess.run([*command, "-o", os.path.join(folder, "out.smi")], check=True, capture_output=True)
            our_rates.append(1000 / (time.perf_counter() - start))
    best = statistics.median(our_rates)
    for engine, rates in [("PyTorch eager", torch_rates), ("equidrift", our_rates)]:
        middle = statistics.median(rates)
        print(f"1,000 QM9 molecules by 2,000 evaluations: {engine:13} {middle:6.2f} molecules/s"
              f"  ({min(rates):.2f} to {max(rates):.2f})  equidrift is {best / middle:5.2f} x")


def rate(work, size, seconds):
    work()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        done += size
    return done / (time.perf_counter() - start)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--threads", type=int, default=os.cpu_count())
    parse.add_argument("--batch", type=int, help="graphs [default: 1024, community_small 128]")
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--seconds", type=float, default=6.0)
    parse.add_argument("--no-compile", action="store_true")
    parse.add_argument("--set", choices=NETWORKS, action="append", help="one of the sets [default: all]")
    parse.add_argument("--instructions", choices=["avx512", "avx2", "portable"], default=None)
    parse.add_argument("--sample", action="store_true", help="1,000 molecules from noise to SMILES instead")
    parse.add_argument("--programme", default=str(ROOT / "target/release/equidrift"))
    args = parse.parse_args()
    torch.set_num_threads(args.threads)
    error = check(args.programme)
    print(f"largest difference to `equidrift forward`: {error:.1e}")
    assert error < 1e-4, "the networks differ"
    if args.sample:
        return sample(args)

    for name in args.set or NETWORKS:
        sizes = spread(SIZES[name], args.batch or BATCH[name])
        model = Scores(NETWORKS[name])
        x, adj, mask = map(torch.tensor, batch(sizes, NETWORKS[name][0], 2))

        def call(net):
            with torch.no_grad():
                net(x, adj, mask)

        def step(net):
            out_x, out_adj = net(x, adj, mask)
            loss = 0.5 * ((0.5 * out_x + x) ** 2).sum() + 0.5 * ((0.5 * out_adj + adj) ** 2).sum()
            model.zero_grad(set_to_none=True)
            (loss / len(sizes)).backward()

        def ours(what):
            listed = ",".join(f"{n}:{sizes.count(n)}" for n in sorted(set(sizes)))
            command = ["cargo", "bench", "--quiet", "--bench", "gdss_score", "--", "--rate", what, name, listed]
            command += [str(args.threads), str(args.seconds)] + ([args.instructions] if args.instructions else [])
            return float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)

        engines = {"PyTorch eager": model}
        if not args.no_compile:
            engines["PyTorch compiled"] = torch.compile(model)
        for what, work in [("call", call), ("step", step)]:
            found = {engine: [] for engine in [*engines, "equidrift"]}
            for _ in range(args.rounds):
                for engine, net in engines.items():
                    found[engine].append(rate(lambda: work(net), len(sizes), args.seconds))
                found["equidrift"].append(ours(what))
            best = statistics.median(found["equidrift"])
            for engine, rates in found.items():
                middle = statistics.median(rates)
                print(f"{name:15} {what:4} {engine:17} {middle:8.0f} graphs/s  ({min(rates):.0f} to {max(rates):.0f})"
                      f"  equidrift is {best / middle:5.2f} x", flush=True)


if __name__ == "__main__":
    sys.exit(main())
