#!/usr/bin/env python3
"""GeoTDM's network of the published size (6 layers and 2 of the prior, width 128, 10 + 20 frames) in PyTorch, beside equidrift's fused
kernels, on a system of aspirin's size: systems per second, turn by turn, ratios, and the memory of either process.

    cargo build --release -p equidrift-cli && cargo bench --bench geotdm_network --no-run
    python benches/peer/geotdm_network.py [--threads 2] [--batch 16] [--rounds 3]

Needs torch, numpy and safetensors from PyPI. The network is written here from the description in `crates/geotdm/src`, batched as
published: frames inside the tensors, nodes of all systems one after another, keys and values with their terms of relative time for
every pair of frames. First its noise is compared with that of `equidrift forward` for a model that `equidrift train` makes of a few
simulated runs. Then every round measures a call of the denoiser and a training step (prior, denoiser, loss, backward; no optimiser on
either side), PyTorch and equidrift one after the other. Ratios are of medians.
"""
import argparse, json, os, resource, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
GIVEN, MADE, WIDTH = 10, 20, 32


def frequencies(tau):
    half = WIDTH // 2
    f = torch.exp(-torch.arange(half) * (np.log(10000.0) / (half - 1)))
    angle = tau[..., None].float() * f
    return torch.cat([angle.sin(), angle.cos()], -1)


class Egtn(torch.nn.Module):
    """Denoiser and learned prior. Positions are [nodes, frames, 3]."""

    def __init__(self, weights=None, features=(30, 4), hidden=128, layers=6, prior_layers=2):
        super().__init__()
        self.layers, self.prior_layers = layers, prior_layers
        shapes = dict(self.shapes(features, hidden))
        if weights is None:
            torch.manual_seed(1)
            weights = {n: torch.randn(s) * 0.3 * (s[-1] ** -0.5 if len(s) > 1 else 0.1) for n, s in shapes.items()}
        self.p = torch.nn.ParameterDict(
            {n.replace(".", "/"): torch.nn.Parameter(torch.as_tensor(weights[n])) for n in shapes})

    def shapes(self, features, h):
        f, e = features

        def linear(name, i, o):
            yield f"{name}.weight", (o, i)
            yield f"{name}.bias", (o,)

        def mlp(name, i, o):
            yield from linear(f"{name}.actions.0", i, h)
            yield from linear(f"{name}.actions.2", h, o)

        yield from linear("input_linear", f + WIDTH, h)
        yield from linear("input_linear_ref", f, h)
        yield "ws", (MADE,)
        for end, count in [("", self.layers), ("_ref", self.prior_layers)]:
            for l in range(count):
                s, t = f"s_modules{end}.{l}", f"t_modules{end}.{l}"
                yield from mlp(s + ".edge_mlp", 2 * h + 1 + e, h)
                yield from mlp(s + ".node_mlp", 2 * h, h)
                yield from mlp(s + ".coord_mlp", h, 1)
                for part in ("q_mlp", "k_mlp", "v_mlp"):
                    yield from mlp(f"{t}.{part}", h, h)
                yield from mlp(t + ".x_mlp", h, 1)
                yield from linear(t + ".time_emb", WIDTH, h)

    def w(self, name):
        return self.p[name.replace(".", "/")]

    def linear(self, name, x):
        return F.linear(x, self.w(name + ".weight"), self.w(name + ".bias"))

    def mlp(self, name, x):
        return self.linear(name + ".actions.2", F.silu(self.linear(name + ".actions.0", x)))

    def spatial(self, name, x, h, edges, of_edges):
        i, j = edges
        r = x[i] - x[j]
        s = r.square().sum(-1, keepdim=True)
        e = of_edges[:, None].expand(-1, x.shape[1], -1)
        m = F.silu(self.mlp(name + ".edge_mlp", torch.cat([h[i], h[j], s, e], -1)))
        c = self.mlp(name + ".coord_mlp", m) / ((s + 1e-8).sqrt() + 1)
        total = torch.zeros_like(h).index_add(0, i, m)
        moved = torch.zeros_like(x).index_add(0, i, c * r)
        count = torch.zeros(len(x)).index_add(0, i, torch.ones(len(i))).clamp_min(1)
        return x + moved / count[:, None, None], self.mlp(name + ".node_mlp", torch.cat([h, total], -1))

    def temporal(self, name, x, h):
        n = x.shape[1]
        t = torch.arange(n)
        p = self.linear(name + ".time_emb", frequencies(t[:, None] - t[None]))  # [t, s, H]
        q, k, v = (self.mlp(f"{name}.{part}", h) for part in ("q_mlp", "k_mlp", "v_mlp"))
        u = self.mlp(name + ".x_mlp", v)[..., 0]
        a = (q[:, :, None] * (k[:, None] + p)).sum(-1).softmax(-1)
        h = h + (a[..., None] * (v[:, None] + p)).sum(2)
        moved = a * u[:, None]
        return x + moved.sum(-1, keepdim=True) * x - moved @ x, h

    def denoise(self, given, noisy, h, t, edges, of_edges):
        x = torch.cat([given, noisy], 1)
        n = x.shape[1]
        g = self.linear("input_linear", torch.cat([h, frequencies(t)], -1))[:, None].expand(-1, n, -1)
        for l in range(self.layers):
            x, g = self.spatial(f"s_modules.{l}", x, g, edges, of_edges)
            x, g = self.temporal(f"t_modules.{l}", x, g)
        return x[:, given.shape[1]:] - noisy

    def reference(self, given, h, edges, of_edges):
        y, g = given, self.linear("input_linear_ref", h)[:, None].expand(-1, given.shape[1], -1)
        for l in range(self.prior_layers):
            y, g = self.spatial(f"s_modules_ref.{l}", y, g, edges, of_edges)
            y, g = self.temporal(f"t_modules_ref.{l}", y, g)
        w = g.mean(-1)[:, :-1, None] * self.w("ws")
        w = torch.cat([w, 1 - w.sum(1, keepdim=True)], 1)
        return torch.einsum("nts,ntd->nsd", w, y)


def check(programme):
    """Largest difference of the noise to `equidrift forward`, relative to the largest."""
    with tempfile.TemporaryDirectory() as folder:
        model, inputs, outputs = (os.path.join(folder, name) for name in ("model", "in.safetensors", "out.safetensors"))
        command = "train trajectories --simulate charged --runs 8 --validation-runs 0 --preset published --epochs 1"
        subprocess.run([programme, *command.split(), "-o", model], check=True, capture_output=True)
        config = json.loads((Path(model) / "config.json").read_text())["network"]
        net = Egtn(load_file(os.path.join(model, "model.safetensors")), (config["node_features"], config["edge_features"]),
                   config["hidden"], config["layers"], config["prior"]["layers"])
        rng = np.random.default_rng(1)
        n, f, e = 5, config["node_features"], config["edge_features"]
        edges = np.array([[i, j] for i in range(n) for j in range(n) if i != j]).T
        x = rng.standard_normal((n, GIVEN + MADE, 3)).astype(np.float32)
        tensors = {
            "in.x": x.transpose(0, 2, 1), "in.h": rng.standard_normal((n, f)), "in.edge_index": edges,
            "in.edge_attr": rng.standard_normal((edges.shape[1], e)), "in.batch": np.zeros(n), "in.t_graph": np.array([30]),
            "in.noise": rng.standard_normal((n, 3, MADE)),
        }
        tensors = {k: np.ascontiguousarray(v.astype(np.float32)) for k, v in tensors.items()}
        save_file(tensors, inputs)
        subprocess.run([programme, "forward", "--model", model, "--inputs", inputs, "--output", outputs], check=True)
        ours = {k: torch.tensor(v) for k, v in load_file(outputs).items()}
        given, h = torch.tensor(x[:, :GIVEN]), torch.tensor(tensors["in.h"])
        graph = torch.tensor(edges), torch.tensor(tensors["in.edge_attr"])
        with torch.no_grad():
            reference = net.reference(given, h, *graph)
            noisy = ours["out.q_sample"].transpose(1, 2) + ours["out.x_ref"].transpose(1, 2)
            found = net.denoise(given, noisy, h, torch.full((n,), 30.0), *graph)
        pairs = [(ours["out.x_ref"], reference), (ours["out.net.x"], found)]
        return max(float((p.transpose(1, 2) - q).abs().max() / p.abs().max()) for p, q in pairs)


def aspirin(batch):
    """The shape of aspirin: 21 nodes, 152 edges."""
    edges = np.array([[e % 21, (e % 21 + 1 + e // 21) % 21] for e in range(152)])
    edges = np.concatenate([edges + 21 * b for b in range(batch)]).T
    torch.manual_seed(2)
    n = 21 * batch
    return (torch.randn(n, GIVEN, 3), torch.randn(n, MADE, 3), torch.full((n, 30), 0.3), torch.full((n,), 30.0),
            torch.tensor(edges), torch.full((edges.shape[1], 4), 0.5))


def torch_rate(what, batch, threads, seconds):
    torch.set_num_threads(threads)
    net, (given, noisy, h, t, *graph) = Egtn(), aspirin(batch)

    def work():
        if what == "call":
            with torch.no_grad():
                return net.denoise(given, noisy, h, t, *graph)
        reference = net.reference(given, h, *graph)
        noise = net.denoise(given, reference + 0.1 * noisy, h, t, *graph)
        net.zero_grad(set_to_none=True)
        (noise - noisy).square().mean().backward()

    work()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        done += batch
    return done / (time.perf_counter() - start), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--threads", type=int, default=os.cpu_count())
    parse.add_argument("--batch", type=int, default=16)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--seconds", type=float, default=6.0)
    parse.add_argument("--programme", default=str(ROOT / "target/release/equidrift"))
    parse.add_argument("--torch", choices=["call", "step"], help=argparse.SUPPRESS)
    args = parse.parse_args()
    if args.torch:
        # A process of its own, whose memory is that of this work alone.
        print(*torch_rate(args.torch, args.batch, args.threads, args.seconds))
        return
    error = check(args.programme)
    print(f"largest difference to `equidrift forward`: {error:.1e}")
    assert error < 1e-4, "the networks differ"

    def run(command):
        found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        return [float(number) for number in found.split()]

    for what in ("call", "step"):
        settings = [str(value) for value in (args.batch, args.threads, args.seconds)]
        engines = {
            "PyTorch eager": [sys.executable, __file__, "--torch", what, "--batch", settings[0], "--threads", settings[1],
                              "--seconds", settings[2]],
            "equidrift": ["cargo", "bench", "--quiet", "--bench", "geotdm_network", "--", "--rate", what, *settings],
        }
        found = {engine: [] for engine in engines}
        for _ in range(args.rounds):
            for engine, command in engines.items():
                found[engine].append(run(command))
        (best, least) = (statistics.median(values) for values in zip(*found["equidrift"]))
        for engine, rows in found.items():
            rate, memory = (statistics.median(values) for values in zip(*rows))
            print(f"{what:4} {engine:13} {rate:7.2f} systems/s, {memory:5.2f} GB;  equidrift is {best / rate:5.2f} x,"
                  f" in {least / memory:4.2f} of the memory", flush=True)


if __name__ == "__main__":
    sys.exit(main())
