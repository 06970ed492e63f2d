//! Networks, forward process, loss and bound on the tensors of a file, for checking converted weights.

use std::path::Path;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, TensorFile};

use crate::denoising_loss::{CountedNodes, NoisedGroup};
use crate::error::GeotdmError;
use crate::flat_batch::FlatBatch;
use crate::likelihood::VariationalBound;
use crate::model::GeotdmModel;
use crate::network::GeotdmNetwork;
use crate::system::{System, groups_of_like_shape};
use crate::system_group::{SystemGroup, from_host, to_host};

/// In what precision to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single, as for sampling.
    #[default]
    F32,
    /// Double.
    F64,
}

/// Evaluates the systems of `inputs` (see [`FlatBatch`]) with noise `in.noise` at the levels `in.t_graph`.
///
/// Returns, nodes of all systems one after another and the frame as the last index:
///
/// | tensor | content |
/// | --- | --- |
/// | `out.x_ref`, `out.x_start`, `out.q_sample` | mean of the prior (conditional models), z_0, z at the levels |
/// | `out.net.x`, `out.net.h` | what the denoiser returns for it, before any projection |
/// | `out.p.mean`, `out.p.pred_xstart`, `out.p.variance`, `out.p.log_variance` | the reverse step from z |
/// | `out.q.mean`, `out.q.variance`, `out.q.log_variance_clipped`, `out.q0.mean`, `out.q0.variance` | the laws of z one level down and of z, given z_0 |
/// | `out.loss_node`, `out.loss_graph`, `out.loss` | the loss of each node and system, and its mean |
/// | `out.vlb.*` | terms of the likelihood bound, if there is `in.vlb_noise` `[T, nodes, D, frames]`, the last level first |
///
/// `origin` is the file named in errors.
///
/// # Errors
/// [`GeotdmError::Weights`] if an input is missing, [`GeotdmError::InputShape`], [`GeotdmError::InputValue`], or as
/// [`GeotdmModel::network`].
pub fn forward(
    model: &GeotdmModel,
    inputs: &TensorFile,
    origin: &Path,
    precision: Precision,
    device: DeviceKind,
) -> Result<TensorFile, GeotdmError> {
    let config = model.config();
    let batch = FlatBatch::read(inputs, origin, config)?;
    let steps = config.diffusion.steps();
    let levels = batch.levels(inputs, origin, steps)?;
    let noise = batch.made(inputs, origin, "in.noise")?;
    let bound_noise = match inputs.tensors.contains_key("in.vlb_noise") {
        true => Some(batch.made_many(inputs, origin, "in.vlb_noise", steps)?),
        false => None,
    };
    let dtype = match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    };
    let network = model.network(device, dtype)?;
    let mut results: Vec<Option<SystemResults>> = vec![None; batch.systems.len()];
    let all: Vec<&System> = batch.systems.iter().collect();
    for places in groups_of_like_shape(&all, |_| usize::MAX) {
        let members: Vec<&System> = places.iter().map(|&place| &batch.systems[place]).collect();
        let group = SystemGroup::new(&config.network, &members, network.device(), dtype)?;
        let joined =
            |of: &[Vec<f64>]| places.iter().flat_map(|&place| of[place].clone()).collect::<Vec<f64>>();
        let task = GroupTask {
            model,
            network: &network,
            group: &group,
            levels: places.iter().map(|&place| levels[place]).collect(),
        };
        let mut found = task.evaluate(joined(&batch.clean), joined(&noise))?;
        if let Some(noise) = &bound_noise {
            task.bound(joined(&batch.clean), |k| joined(&noise[steps - 1 - k]), &mut found)?;
        }
        for (place, found) in places.iter().zip(found) {
            results[*place] = Some(found);
        }
    }
    let results: Vec<SystemResults> = results.into_iter().flatten().collect();
    Ok(collect(model, &batch, &levels, &results, precision))
}

/// What is found about one system. Rows are nodes.
#[derive(Debug, Clone, Default)]
struct SystemResults {
    reference: Option<Vec<f64>>,
    start: Vec<f64>,
    state: Vec<f64>,
    noise_found: Vec<f64>,
    displacement: Vec<f64>,
    features: Vec<f64>,
    node_losses: Vec<f64>,
    /// Terms, squared errors of noise and of data `[N, T]`, prior term `[N]`.
    bound: Option<[Vec<f64>; 4]>,
}

/// One group at its levels.
struct GroupTask<'a> {
    model: &'a GeotdmModel,
    network: &'a GeotdmNetwork,
    group: &'a SystemGroup,
    levels: Vec<usize>,
}

impl GroupTask<'_> {
    fn evaluate(&self, clean: Vec<f64>, noise: Vec<f64>) -> Result<Vec<SystemResults>, GeotdmError> {
        let Self { network, group, .. } = *self;
        let diffusion = &self.model.config().diffusion;
        let shape = group.shape();
        let tensor = |values| from_host::<3>(values, shape, network.device(), network.dtype());
        let noised = NoisedGroup::new(network, diffusion, group, tensor(clean), tensor(noise), &self.levels)?;
        let denoised = noised.denoise(network, diffusion, group)?;
        let losses = to_host("losses", noised.node_losses(&denoised, group))?;
        let noise_found = to_host("the noise", denoised.noise)?;
        let reference = noised.reference.map(|reference| to_host("the reference", reference)).transpose()?;
        let (start, state) = (to_host("the data", noised.start)?, to_host("the states", noised.state)?);
        let displacement = to_host("the noise", denoised.displacement)?;
        let features = to_host("features", denoised.features)?;
        let part = |values: &[f64], g: usize| {
            let width = values.len() / group.systems();
            values[g * width..][..width].to_vec()
        };
        let system = |g: usize| SystemResults {
            reference: reference.as_ref().map(|reference| part(reference, g)),
            start: part(&start, g),
            state: part(&state, g),
            noise_found: part(&noise_found, g),
            displacement: part(&displacement, g),
            features: part(&features, g),
            node_losses: part(&losses, g),
            bound: None,
        };
        Ok((0..group.systems()).map(system).collect())
    }

    fn bound(
        &self,
        clean: Vec<f64>,
        noise: impl FnMut(usize) -> Vec<f64>,
        into: &mut [SystemResults],
    ) -> Result<(), GeotdmError> {
        let diffusion = &self.model.config().diffusion;
        let bound = VariationalBound::new(self.network, diffusion, self.group, clean, noise)?;
        for (g, result) in into.iter_mut().enumerate() {
            let part = |values: &[f64]| {
                let width = values.len() / self.group.systems();
                values[g * width..][..width].to_vec()
            };
            result.bound = Some([
                part(&bound.levels),
                part(&bound.noise_error),
                part(&bound.start_error),
                part(&bound.prior),
            ]);
        }
        Ok(())
    }
}

/// The results of all systems as tensors.
fn collect(
    model: &GeotdmModel,
    batch: &FlatBatch,
    levels: &[usize],
    results: &[SystemResults],
    precision: Precision,
) -> TensorFile {
    let diffusion = &model.config().diffusion;
    let dimensions = batch.dimensions();
    let mut out = TensorFile::default();
    let mut insert = |name: &str, (shape, values): (Vec<usize>, Vec<f64>)| {
        let tensor = match precision {
            Precision::F32 => HostTensor::f32(shape, values.into_iter().map(|v| v as f32).collect()),
            Precision::F64 => HostTensor::f64(shape, values),
        };
        out.tensors.insert(format!("out.{name}"), tensor);
    };
    // Positions: one array for each system, made of the system's results and its level.
    let positions = |of: &dyn Fn(&SystemResults, usize) -> Vec<f64>| {
        let by_system: Vec<Vec<f64>> = results.iter().zip(levels).map(|(found, &k)| of(found, k)).collect();
        batch.flat(&by_system, dimensions)
    };
    // One number for each level, repeated over the system's nodes.
    let of_levels = |of: &dyn Fn(usize) -> f64| {
        let nodes = levels
            .iter()
            .enumerate()
            .flat_map(|(system, &k)| std::iter::repeat_n(of(k), batch.nodes_of(system).len()));
        (vec![batch.nodes()], nodes.collect::<Vec<f64>>())
    };
    let combined = |a: &[f64], b: &[f64], of: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        a.iter().zip(b).map(|(&a, &b)| of(a, b)).collect()
    };
    if results.iter().all(|found| found.reference.is_some()) {
        insert("x_ref", positions(&|found, _| found.reference.clone().unwrap_or_default()));
    }
    insert("x_start", positions(&|found, _| found.start.clone()));
    insert("q_sample", positions(&|found, _| found.state.clone()));
    insert("net.x", positions(&|found, _| found.displacement.clone()));
    let features: Vec<Vec<f64>> = results.iter().map(|found| found.features.clone()).collect();
    insert("net.h", batch.flat(&features, model.config().network.hidden));

    let predicted = |found: &SystemResults, k: usize| {
        combined(&found.state, &found.noise_found, &|state, noise| diffusion.start_of(k, state, noise))
    };
    let step = |start: &[f64], found: &SystemResults, k: usize| {
        let posterior = diffusion.posterior(k);
        combined(start, &found.state, &|start, state| posterior.start * start + posterior.state * state)
    };
    insert("p.pred_xstart", positions(&predicted));
    insert("p.mean", positions(&|found, k| step(&predicted(found, k), found, k)));
    insert("p.variance", of_levels(&|k| diffusion.reverse_variance(k)));
    insert("p.log_variance", of_levels(&|k| libm::log(diffusion.reverse_variance(k))));
    insert("q.mean", positions(&|found, k| step(&found.start, found, k)));
    insert("q.variance", of_levels(&|k| diffusion.posterior(k).variance));
    insert("q.log_variance_clipped", of_levels(&|k| diffusion.posterior(k).log_variance));
    insert("q0.mean", positions(&|found, k| found.start.iter().map(|z| diffusion.signal(k) * z).collect()));
    insert("q0.variance", of_levels(&|k| 1.0 - diffusion.path.alpha_bar(k)));

    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let losses: Vec<f64> = results
        .iter()
        .map(|found| match model.config().counted {
            CountedNodes::All => mean(&found.node_losses),
            CountedNodes::First => found.node_losses.first().copied().unwrap_or_default(),
        })
        .collect();
    let nodes: Vec<f64> = results.iter().flat_map(|found| found.node_losses.clone()).collect();
    insert("loss_node", (vec![nodes.len()], nodes));
    insert("loss", (vec![1], vec![mean(&losses)]));
    insert("loss_graph", (vec![losses.len()], losses));

    let bounds: Vec<&[Vec<f64>; 4]> = results.iter().filter_map(|found| found.bound.as_ref()).collect();
    if bounds.len() < results.len() || bounds.is_empty() {
        return out;
    }
    let steps = diffusion.steps();
    for (part, name) in ["vlb.vb", "vlb.mse", "vlb.xstart_mse"].into_iter().enumerate() {
        // The last level first.
        let rows = bounds.iter().flat_map(|bound| bound[part].chunks_exact(steps));
        let values = rows.flat_map(|row| row.iter().rev().copied()).collect();
        insert(name, (vec![batch.nodes(), steps], values));
    }
    let totals = |bound: &[Vec<f64>; 4]| -> Vec<f64> {
        let sums = bound[0].chunks_exact(steps).map(|row| row.iter().sum::<f64>());
        sums.zip(&bound[3]).map(|(sum, prior)| sum + prior).collect()
    };
    insert("vlb.prior_bpd", (vec![batch.nodes()], bounds.iter().flat_map(|b| b[3].clone()).collect()));
    insert("vlb.total_bpd", (vec![batch.nodes()], bounds.iter().flat_map(|b| totals(b)).collect()));
    let systems = vec![bounds.len()];
    insert("vlb.nll_graph", (systems.clone(), bounds.iter().map(|b| totals(b).iter().sum()).collect()));
    insert("vlb.mse_graph", (systems, bounds.iter().map(|b| mean(&b[1])).collect()));
    out
}
