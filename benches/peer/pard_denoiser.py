#!/usr/bin/env python3
"""The denoiser of an embedded Pard model in PyTorch, beside equidrift's engines: graphs per second, turn by turn, and ratios.

    cargo build --release -p equidrift-cli && cargo bench --bench pard_denoiser --no-run
    python benches/peer/pard_denoiser.py [--threads 2] [--batch 1024] [--rounds 5] [--no-compile]

Needs torch, numpy and safetensors from PyPI. The network is written here from the description in `crates/nn` and
`crates/pard/src/fused`, batched over graphs as is usual there; its weights are those of crates/zoo/models/qm9-pard. First its
logits are compared with those of `equidrift forward` on random graphs. Then every round measures PyTorch (eager, and compiled) and
equidrift one after the other, a call and a training step (forward, cross-entropy, backward; no optimiser on either side), so
that what disturbs the machine disturbs both. Ratios are of medians.
"""
import argparse, json, math, os, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file, load_file

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "crates/zoo/models/qm9-pard"


class Denoiser(torch.nn.Module):
    """One block: all nodes see one another, and are virtual."""

    def __init__(self, config, weights):
        super().__init__()
        net = config["network"]
        self.h, self.e, self.layers, self.heads = net["hidden"], net["edge"], net["layers"], net["heads"]
        self.walks, self.classes = net["walks"], (net["node_classes"], net["edge_classes"])
        self.steps = config["diffusion"]["steps"]
        self.names = {name: name.replace(".", "/") for name in weights}
        self.p = torch.nn.ParameterDict({self.names[n]: torch.nn.Parameter(torch.tensor(w)) for n, w in weights.items()})

    def w(self, name):
        return self.p["denoise/" + name.replace(".", "/")]

    def linear(self, name, x):
        return F.linear(x, self.w(name + ".weight"), self.w(name + ".bias"))

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w(name + ".ln.weight"), self.w(name + ".ln.bias"))

    def mlp(self, name, x, layers=("linear1", "linear2")):
        return self.linear(f"{name}.{layers[1]}", F.silu(self.linear(f"{name}.{layers[0]}", x)))

    def out(self, name, x):
        return self.linear(name + ".linear2", F.silu(self.norm(name + ".norm", self.linear(name + ".linear1", x))))

    def phi(self, name, s):
        u = F.silu(s[:, None] * self.w(name + ".layers.0.weight").abs() + self.w(name + ".layers.0.bias"))
        return torch.sigmoid(u @ self.w(name + ".layers.1.weight").abs() + self.w(name + ".layers.1.bias"))[:, 0]

    def seen_adjacency(self, a):
        return a[..., 1:-1].sum(-1)

    def of_blocks(self, n):
        """Of one block of n nodes."""
        degree, size = (self.w(f"input_conditioner.1.block_{what}_embedding.weight") for what in ("degree", "size"))
        return degree[0] + size[n]

    def timed(self, shift):
        """What the time adds to the nodes."""
        return shift

    def shares(self, scores):
        return scores.softmax(2)

    def product(self, left, right):
        return left @ right

    def pair_mean(self, e):
        return 0.5 * (e + e.transpose(1, 2)).mean(2)

    def embed(self, x, a, t):
        n = x.shape[1]
        k = torch.arange(self.h // 2)
        angle = t[:, None].float() * 10000.0 ** (-k / (self.h / 2))
        time = torch.cat([angle.sin(), angle.cos()], 1)
        h = self.linear("input_encoder.node_encoder", x)
        h = h + self.of_blocks(n)
        h = h + self.timed(self.mlp("input_conditioner.2", time, ("layer1", "layer2"))[:, None])
        e = self.linear("input_encoder.edge_encoder", a)
        adjacency = self.seen_adjacency(a)
        step = adjacency / adjacency.sum(-1, keepdim=True).clamp_min(1.0)
        walks = [step]
        for _ in range(1, self.walks):
            walks.append(walks[-1] @ step)
        walks = torch.stack(walks, -1)
        h = h + self.linear("input_conditioner.walks", walks.diagonal(dim1=1, dim2=2).transpose(1, 2))
        return h, e + self.linear("edge_conditioner.walks", walks + walks.transpose(1, 2))

    def transformer(self, name, h, e):
        b, n, _ = h.shape
        hn, en = self.norm(name + ".node_norm1", h), self.norm(name + ".edge_norm", e)
        q, k = self.linear(name + ".qk_node", hn).chunk(2, -1)
        gate, shift = self.linear(name + ".qk_edge", en).chunk(2, -1)
        s = q[:, :, None] + k[:, None]
        z = F.silu(shift + F.silu(s) * gate + s)
        e = e + self.linear(name + ".o_edge", z)
        attention = self.shares(self.linear(name + ".att_linear", z))  # [B, i, j, heads]
        values = self.linear(name + ".v_node", hn).view(b, n, self.heads, -1)
        taken = torch.einsum("bijh,bjhd->bihd", attention, values)
        pooled = torch.einsum("bijh,bije->bihe", attention, z)
        weight = self.w(name + ".v_edge.weight").view(self.heads, -1, self.e)
        taken = taken + torch.einsum("bihe,hde->bihd", pooled, weight)
        taken = taken.reshape(b, n, self.h) + self.w(name + ".v_edge.bias")
        h = h + self.linear(name + ".o_node", taken)
        return h + self.mlp(name + ".mlp", self.norm(name + ".node_norm2", h)), e

    def ppgn(self, name, e):
        en = self.norm(name + ".norm1", e)
        left = F.silu(self.mlp(name + ".mlp1", torch.cat([en, en.transpose(1, 2)], -1)))
        right = F.silu(self.mlp(name + ".mlp2", en))
        product = self.product(left.permute(0, 3, 1, 2), right.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        e = e + self.linear(name + ".linear", product)
        return e + self.mlp(name + ".mlp3", self.norm(name + ".norm2", e))

    def head(self, h, e, x, a, t):
        name = "out_decoder"
        mean = self.pair_mean(e)
        z = F.silu(self.linear(name + ".node_transform.0", torch.cat([e.diagonal(dim1=1, dim2=2).transpose(1, 2), mean, h], -1)))
        combiner = name + ".edge_transforom"
        column, row = self.linear(combiner + ".node_layer1", z).chunk(2, -1)
        nodes = column[:, None] + row[:, :, None]
        g = self.linear(combiner + ".edge_layer1", e)
        fused = F.silu(self.linear(combiner + ".fuse_layer1", nodes)) * F.silu(self.linear(combiner + ".fuse_layer2", g))
        y = F.silu(nodes + g + fused)
        s = 1.0 - t.float() / self.steps
        nodes = self.out(name + ".node_out", z) + self.phi(name + ".phi_node", s)[:, None, None] * x
        pairs = self.out(name + ".edge_out", y + y.transpose(1, 2)) + self.phi(name + ".phi_edge", s)[:, None, None, None] * a
        return nodes, pairs

    def forward(self, x, a, t):
        h, e = self.embed(x, a, t)
        for layer in range(self.layers):
            h, e = self.transformer(f"net.blocks.{layer}.transformer", h, e)
            e = self.ppgn(f"net.blocks.{layer}.ppgn", e)
        h = self.mlp("net.node_mlp", self.norm("net.node_norm", h))
        e = self.mlp("net.edge_mlp", self.norm("net.edge_norm", e))
        return self.head(h, e, x, a, t)


def batch(size, n, classes, steps, seed):
    """Random graphs of n nodes: one-hot classes of nodes and of pairs (none on the diagonal), and steps."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, classes[0] - 1, (size, n))
    a = np.triu(rng.choice(classes[1] - 1, (size, n, n), p=[0.73, 0.19, 0.06, 0.02]), 1)
    a = a + a.transpose(0, 2, 1)
    pairs = np.eye(classes[1], dtype=np.float32)[a] * (1.0 - np.eye(n, dtype=np.float32))[None, :, :, None]
    return x, a, np.eye(classes[0], dtype=np.float32)[x], pairs, rng.integers(1, steps + 1, size)


def check(model, config, programme):
    """Largest difference to the logits of `equidrift forward`, relative to the largest logit."""
    n, size = 9, 8
    x, a, one_hot, pairs, t = batch(size, n, model.classes, model.steps, 1)
    # As a doubled sequence: the real nodes, which the copies do not see, then the copies.
    def doubled(real, copies):
        return np.concatenate([real, copies], 1)
    edges = np.zeros((size, 2 * n, 2 * n, model.classes[1]), np.float32)
    edges[..., 0] = 1.0 - np.eye(2 * n, dtype=np.float32)
    edges[:, n:, n:] = pairs
    edges[:, :n, :n] = pairs
    flags = np.zeros((size, 2 * n), np.int64)
    flags[:, n:] = 1
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        tensors = {
            "in.nodes_blockid": np.zeros((size, 2 * n), np.int64), "in.virtual": flags,
            "in.block_size": np.full((size, 1), n, np.int64), "in.block_degree": np.zeros((size, 1), np.int64),
            "in.t": t.astype(np.int64), "in.nodes_x_t": doubled(one_hot, one_hot), "in.edges_x_t": edges,
        }
        save_file({k: np.ascontiguousarray(v.astype(np.float32)) for k, v in tensors.items()}, inputs)
        subprocess.run([programme, "forward", "--model", "qm9-pard", "--inputs", inputs, "--output", outputs], check=True)
        ours = load_file(outputs)
    with torch.no_grad():
        nodes, logits = model(torch.tensor(one_hot), torch.tensor(pairs), torch.tensor(t))
    off = ~np.eye(n, dtype=bool)
    there = [ours["out.eval.node_logit"][:, n:], ours["out.eval.edge_logit"][:, n:, n:][:, off]]
    here = [nodes.numpy(), logits.numpy()[:, off]]
    return max(float(np.abs(p - q).max() / np.abs(q).max()) for p, q in zip(here, there))


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
    parse.add_argument("--batch", type=int, default=1024)
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--seconds", type=float, default=6.0)
    parse.add_argument("--no-compile", action="store_true")
    parse.add_argument("--programme", default=str(ROOT / "target/release/equidrift"))
    args = parse.parse_args()
    torch.set_num_threads(args.threads)
    config = json.loads((MODEL / "config.json").read_text())
    model = Denoiser(config, load_file(str(MODEL / "model.safetensors")))
    error = check(model, config, args.programme)
    print(f"largest difference to `equidrift forward`: {error:.1e}")
    assert error < 1e-4, "the networks differ"

    x, a, one_hot, pairs, t = batch(args.batch, 9, model.classes, model.steps, 2)
    one_hot, pairs, t = torch.tensor(one_hot), torch.tensor(pairs), torch.tensor(t)
    clean = torch.tensor(x)
    lower = torch.tril_indices(9, 9, -1)
    classes = torch.tensor(a)[:, lower[0], lower[1]]

    def call(net):
        with torch.no_grad():
            net(one_hot, pairs, t)

    def step(net):
        nodes, logits = net(one_hot, pairs, t)
        loss = F.cross_entropy(nodes.flatten(0, 1), clean.flatten(), reduction="sum")
        loss = loss + F.cross_entropy(logits[:, lower[0], lower[1]].flatten(0, 1), classes.flatten(), reduction="sum")
        model.zero_grad(set_to_none=True)
        (loss / args.batch).backward()

    def ours(what):
        command = ["cargo", "bench", "--quiet", "--bench", "pard_denoiser", "--", "--rate", what, str(args.batch), str(args.threads), str(args.seconds)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)

    engines = {"PyTorch eager": model}
    if not args.no_compile:
        engines["PyTorch compiled"] = torch.compile(model)
    for what, work in [("call", call), ("step", step)]:
        found = {name: [] for name in [*engines, "equidrift"]}
        for _ in range(args.rounds):
            for name, net in engines.items():
                found[name].append(rate(lambda: work(net), args.batch, args.seconds))
            found["equidrift"].append(ours(what))
        best = statistics.median(found["equidrift"])
        for name, rates in found.items():
            middle = statistics.median(rates)
            print(f"{what:5} {name:17} {middle:8.0f} graphs/s  ({min(rates):.0f} to {max(rates):.0f})  equidrift is {best / middle:5.2f} x")


if __name__ == "__main__":
    sys.exit(main())
