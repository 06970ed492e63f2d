use super::{KineticGeometry, PathConfig};
use crate::denoiser::Denoiser;
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::noise::{NoiseSource, Stream};
use crate::plan::{NoiseTerm, PlanBuilder, STATE};
use crate::prediction::PredictionKind;
use crate::state::State;

/// A measured separation function `λ(s) = E|E[x|a x + m ε]|²/E|x|²`, s = a/m, of one component of a data set
/// ([`KineticGeometry`]). Components of one product state have different ones, so each gets its own schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Separation {
    /// √(E|x|²/d): the root mean square of the data's free coordinates.
    pub scale: f64,
    /// The ratios s for data of scale 1, increasing.
    pub ratios: Vec<f64>,
    /// λ at the ratios.
    pub values: Vec<f64>,
}

impl Separation {
    /// From data alone: the posterior mean within the batch, `Σ_j w_j x_j` with `w_j ∝ exp(−½|z − s x_j|²)`,
    /// z = s x_b + ε, over the rows of the same mask as row b (a posterior over the batch is the exact one of the data's
    /// empirical law). One draw of ε per row and ratio, of stream [`Stream::Probe`]. Cost: ratios × B² × D.
    ///
    /// # Errors
    /// If the component does not exist, the data are all zero or cannot be read, or the ratios do not increase.
    pub fn of_samples(
        data: &State,
        component: usize,
        ratios: &[f64],
        noise: &dyn NoiseSource,
        ids: &[u64],
    ) -> Result<Self, SamplerError> {
        let (values, scale) = second_moment(data, component, ids)?;
        let support = &data.components[component].support;
        let width = support.width().max(1);
        let rows: Vec<&[f64]> = values.chunks_exact(width).collect();
        let mut table = Self { scale, ratios: Vec::new(), values: Vec::new() };
        for (step, &ratio) in ratios.iter().enumerate() {
            let draws = noise.normals(Stream::Probe, step as u32, component, support, ids);
            let s = ratio / scale;
            let (mut squares, mut freedom) = (0.0, 0usize);
            let mut mean = vec![0.0; width];
            let mut difference = vec![0.0; width];
            for (b, row) in rows.iter().enumerate() {
                let epsilon = &draws[b * width..(b + 1) * width];
                let peers: Vec<usize> =
                    (0..rows.len()).filter(|&j| support.mask(j) == support.mask(b)).collect();
                let logs: Vec<f64> = peers
                    .iter()
                    .map(|&j| {
                        for (d, ((x, e), y)) in
                            difference.iter_mut().zip(row.iter().zip(epsilon).zip(rows[j]))
                        {
                            *d = s * (x - y) + e;
                        }
                        -0.5 * support.sum_of_squares(b, &difference)
                    })
                    .collect();
                let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = logs.iter().map(|log| libm::exp(log - top)).collect();
                let total: f64 = weights.iter().sum();
                mean.fill(0.0);
                for (weight, &j) in weights.iter().zip(&peers) {
                    for (mean, y) in mean.iter_mut().zip(rows[j]) {
                        *mean += weight / total * y;
                    }
                }
                squares += support.sum_of_squares(b, &mean);
                freedom += support.degrees_of_freedom(b);
            }
            table.ratios.push(ratio);
            table.values.push(squares / (freedom.max(1) as f64 * scale * scale));
        }
        Ok(table)
    }

    /// From a trained denoiser: `E|x̂₀|²/E|x|²` at the times of `paths[component]` with α/σ = s/scale. `data` are noised at
    /// these times with noise of stream [`Stream::Probe`]. Cost: one evaluation per ratio. Ratios outside what the path
    /// reaches are left out.
    ///
    /// # Errors
    /// If data, paths and denoiser do not fit together, or the denoiser fails.
    pub fn of_denoiser(
        denoiser: &dyn Denoiser,
        data: &State,
        paths: &[PathConfig],
        component: usize,
        ratios: &[f64],
        noise: &dyn NoiseSource,
        ids: &[u64],
    ) -> Result<Self, SamplerError> {
        let (_, scale) = second_moment(data, component, ids)?;
        let expected = data.components.len();
        let built: Vec<_> = paths.iter().map(PathConfig::build).collect();
        let Some(path) = built.get(component).filter(|_| paths.len() == expected) else {
            return Err(SamplerError::Count { what: "paths", expected, found: paths.len() });
        };
        let latest = super::start_time(&built);
        let mut executor = Executor::new(denoiser, noise);
        let mut table = Self { scale, ratios: Vec::new(), values: Vec::new() };
        for (step, &ratio) in ratios.iter().enumerate() {
            let time = path.inverse_lambda(libm::log(ratio / scale));
            let reached =
                time > 0.0 && time <= latest && (path.lambda(time) - libm::log(ratio / scale)).abs() < 1e-6;
            if !reached {
                continue;
            }
            // x <- alpha x + sigma z; x <- x0(x).
            let mut plan = PlanBuilder::new("separation function", paths, 1)?;
            let clean = plan.register();
            plan.begin_step(time);
            let coefficients = plan.each(|path| path.sigma(time));
            let noised = NoiseTerm { stream: Stream::Probe, step: step as u32, coefficients };
            plan.combine(STATE, vec![(STATE, plan.each(|path| path.alpha(time)))], Some(noised));
            plan.eval_state(time, PredictionKind::X0, clean);
            plan.combine(STATE, vec![(clean, vec![1.0; expected])], None);
            let outcome = executor.run(&plan.finish()?, data.clone(), ids)?;
            let part = &outcome.state.components[component];
            let support = &part.support;
            let x0 = part.to_host()?;
            let (mut squares, mut freedom) = (0.0, 0usize);
            for (b, row) in x0.chunks_exact(support.width().max(1)).enumerate() {
                squares += support.sum_of_squares(b, row);
                freedom += support.degrees_of_freedom(b);
            }
            table.ratios.push(ratio);
            table.values.push(squares / (freedom.max(1) as f64 * scale * scale));
        }
        Ok(table)
    }

    /// The geometry of this function; see [`KineticGeometry::from_table`]. Its schedule for the data as they are is
    /// `geometry.schedule(nodes, separation.scale)`.
    ///
    /// # Errors
    /// As [`KineticGeometry::from_table`].
    pub fn geometry(&self, cells: usize) -> Result<KineticGeometry, SamplerError> {
        KineticGeometry::from_table(&self.ratios, &self.values, cells)
    }
}

/// The values of a component and the root mean square of its free coordinates.
fn second_moment(data: &State, component: usize, ids: &[u64]) -> Result<(Vec<f64>, f64), SamplerError> {
    data.check()?;
    let Some(part) = data.components.get(component) else {
        let (what, found) = ("components of the data, more than the index", data.components.len());
        return Err(SamplerError::Count { what, expected: component + 1, found });
    };
    if ids.len() != data.batch() {
        return Err(SamplerError::Count { what: "sample ids", expected: data.batch(), found: ids.len() });
    }
    let values = part.to_host()?;
    let (mut squares, mut freedom) = (0.0, 0usize);
    for (b, row) in values.chunks_exact(part.support.width().max(1)).enumerate() {
        squares += part.support.sum_of_squares(b, row);
        freedom += part.support.degrees_of_freedom(b);
    }
    let value = libm::sqrt(squares / freedom.max(1) as f64);
    if !(value.is_finite() && value > 0.0) {
        let (planner, option) = ("separation function", "scale of the data");
        return Err(SamplerError::Option { planner, option, value, expected: "finite data, not all zero" });
    }
    Ok((values, value))
}
