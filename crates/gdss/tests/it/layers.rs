//! Every intermediate of the networks against the golden vectors, layer by layer, in double precision.

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_gdss::{
    AttentionLayerSize, EdgeNetworkConfig, NodeNetworkConfig, ScoreNetworkX, ScoreNetworkXConfig,
};
use equidrift_nn::{AttentionLayer, GraphMask, ParameterReader, Wanted, adjacency_powers, tanh};

use crate::checkpoints::{checkpoints, relative_error};

const TOLERANCE: f64 = 1e-10;

struct Comparison<'a> {
    name: &'a str,
    golden: &'a TensorFile,
    compared: usize,
}

impl Comparison<'_> {
    /// Compares with `mid.{quantity}` if the file has it.
    fn check<const D: usize>(&mut self, quantity: &str, found: Tensor<D>) {
        let Some(expected) = self.golden.tensors.get(&format!("mid.{quantity}")) else { return };
        assert_eq!(found.dims().to_vec(), expected.shape, "{} mid.{quantity}", self.name);
        let error = relative_error(&found.try_into_vec_as::<f64>().unwrap(), &expected.to_f64());
        assert!(error <= TOLERANCE, "{} mid.{quantity}: relative error {error:.2e}", self.name);
        self.compared += 1;
    }
}

fn tensor<const D: usize>(host: &HostTensor, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(host.to_f64(), host.shape.clone()), (device, DType::F64))
}

/// Runs a stack of attention layers with all outputs, comparing each.
fn attention_stack(
    compare: &mut Comparison<'_>,
    from: &ParameterReader<'_>,
    network: &str,
    sizes: &[AttentionLayerSize],
    (mut x, mut edges): (Tensor<3>, Tensor<4>),
    mask: &GraphMask,
    after: impl Fn(Tensor<3>) -> Tensor<3>,
) {
    for (index, size) in sizes.iter().enumerate() {
        let name = format!("{network}.layers.{index}");
        let layer = AttentionLayer::read(from, &name, size.shape(), Wanted::Both).unwrap();
        let units = layer.units().forward(x.clone(), edges.clone());
        let first = |all: Tensor<4>| all.narrow(1, 0, 1).squeeze_dim::<3>(1);
        let unit = format!("{network}.layer{index}.attn0");
        let (queries, keys) = units.queries_keys.unwrap();
        compare.check(&format!("{unit}.gnn_q"), first(queries));
        compare.check(&format!("{unit}.gnn_k"), first(keys));
        let values = first(units.values.unwrap());
        compare.check(&format!("{unit}.gnn_v"), values.clone());
        compare.check(&format!("{unit}.V"), values);
        compare.check(&format!("{unit}.A"), first(units.attention.unwrap()));

        let out = layer.forward(x, edges, mask, None);
        x = out.nodes.unwrap();
        edges = out.edges.unwrap();
        compare.check(&format!("{network}.layer{index}.x"), x.clone());
        compare.check(&format!("{network}.layer{index}.adj"), edges.clone());
        x = after(x);
    }
}

#[test]
fn every_intermediate() {
    let device = Device::flex();
    let all = checkpoints();
    let with_intermediates =
        |golden: &TensorFile| golden.tensors.keys().filter(|k| k.starts_with("mid.")).count();
    let mut total = 0;
    for checkpoint in all.iter().filter(|checkpoint| with_intermediates(&checkpoint.golden) > 0) {
        let (golden, model) = (&checkpoint.golden, checkpoint.model_with(""));
        let from = ParameterReader { parameters: model.parameters(), device: &device, dtype: DType::F64 };
        let x: Tensor<3> = tensor(&golden.tensors["in.x"], &device);
        let adjacency: Tensor<3> = tensor(&golden.tensors["in.adj"], &device);
        let mask = GraphMask::new(tensor(&golden.tensors["in.flags"], &device));
        let mut compare = Comparison { name: &checkpoint.name, golden, compared: 0 };

        let EdgeNetworkConfig::ScoreNetworkA(size) = &model.config().networks.adj;
        let powers = adjacency_powers(adjacency.clone(), size.c_init);
        compare.check("adj.pow", powers.clone());
        attention_stack(&mut compare, &from, "adj", &size.layers(), (x.clone(), powers), &mask, |x| x);

        match &model.config().networks.x {
            NodeNetworkConfig::ScoreNetworkX(size) => {
                check_convolutions(&mut compare, &from, size, x, adjacency);
            }
            NodeNetworkConfig::ScoreNetworkXGmh(size) => {
                let powers = adjacency_powers(adjacency, size.c_init);
                attention_stack(&mut compare, &from, "x", &size.layers(), (x, powers), &mask, tanh);
            }
        }
        assert_eq!(
            compare.compared,
            with_intermediates(golden),
            "{}: an intermediate was left out",
            checkpoint.name
        );
        total += compare.compared;
    }
    if !all.is_empty() {
        assert!(total > 0, "no intermediates in the reference folder");
        println!("{total} intermediates agree to {TOLERANCE:.0e}");
    }
}

fn check_convolutions(
    compare: &mut Comparison<'_>,
    from: &ParameterReader<'_>,
    size: &ScoreNetworkXConfig,
    x: Tensor<3>,
    adjacency: Tensor<3>,
) {
    let network = ScoreNetworkX::read(from, "x", size).unwrap();
    for (index, output) in network.layer_outputs(x, adjacency).into_iter().enumerate() {
        compare.check(&format!("x.layer{index}"), output);
    }
}
