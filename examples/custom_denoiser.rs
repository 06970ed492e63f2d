//! Sample from a denoiser of your own: here one that is known exactly, so the samples can be checked.
//!
//! Data are two-dimensional Gaussians of mean (2, -1) and standard deviations (0.5, 1.5). Under a variance preserving
//! path `x_t = alpha x_0 + sigma eps` the best noise prediction is linear,
//! `eps = sigma (x - alpha m) / (alpha^2 s^2 + sigma^2)`, and a sampler must recover mean and deviation. The samplers with
//! a Langevin corrector are left out: its step is scaled by the norms of score and noise of a sample, which is meant for
//! states of many dimensions and is far too rough in two.
//!
//! ```text
//! cargo run --release --example custom_denoiser
//! ```

use equidrift_sampler::{
    Component, DType, DenoiseError, Denoiser, Device, Executor, KeyedNoise, PathConfig, PredictionKind,
    SamplerConfig, State, Support, Tensor,
};

const MEAN: [f64; 2] = [2.0, -1.0];
const DEVIATION: [f64; 2] = [0.5, 1.5];
const SAMPLES: usize = 20_000;

struct Gaussian {
    path: PathConfig,
    device: Device,
}

impl Denoiser for Gaussian {
    fn kinds(&self) -> &[PredictionKind] {
        &[PredictionKind::Noise]
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let component = &state.components[0];
        let values = component.to_host().map_err(|error| DenoiseError::Engine(Box::new(error)))?;
        let path = self.path.build();
        let noise = values.chunks_exact(2).zip(times).flat_map(|(x, &t)| {
            let (alpha, sigma) = (path.alpha(t), path.sigma(t));
            [0, 1].map(|i| {
                let variance = alpha * alpha * DEVIATION[i] * DEVIATION[i] + sigma * sigma;
                sigma * (x[i] - alpha * MEAN[i]) / variance
            })
        });
        let noise =
            Component::from_host("eps", noise.collect(), component.support.clone(), &self.device, DType::F64);
        Ok(vec![noise.map_err(|error| DenoiseError::Engine(Box::new(error)))?.values])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    let device = equidrift_backend::device::DeviceKind::Cpu.open()?;
    let denoiser = Gaussian { path: path.clone(), device: device.clone() };
    let paths = [path];
    let noise = KeyedNoise::new(5);
    let ids: Vec<u64> = (0..SAMPLES as u64).collect();
    println!("{:20} {:>5}   mean (2, -1)       deviation (0.5, 1.5)", "sampler", "NFE");
    for name in ["dpm-solver++", "heun", "euler-maruyama", "reverse-diffusion"] {
        let plan = SamplerConfig::by_name(name)?.plan(&paths, 100)?;
        let support = vec![Support::vector(SAMPLES, 2)];
        let prior = State::prior(&["x"], &paths, support, &ids, &noise, &device, DType::F64)?;
        let outcome = Executor::new(&denoiser, &noise).run(&plan, prior, &ids)?;
        let values = outcome.state.components[0].to_host()?;
        let moment = |i: usize, power: i32, centre: f64| {
            values.iter().skip(i).step_by(2).map(|x| (x - centre).powi(power)).sum::<f64>() / SAMPLES as f64
        };
        let mean = [0, 1].map(|i| moment(i, 1, 0.0));
        let deviation = [0, 1].map(|i| moment(i, 2, mean[i]).sqrt());
        println!(
            "{:20} {:5}   ({:6.3}, {:6.3})   ({:5.3}, {:5.3})",
            name, outcome.evaluations, mean[0], mean[1], deviation[0], deviation[1]
        );
        for i in [0, 1] {
            // Four standard errors and the samplers' own error at 100 steps.
            assert!((mean[i] - MEAN[i]).abs() < 0.07 && (deviation[i] - DEVIATION[i]).abs() < 0.05, "{name}");
        }
    }
    Ok(())
}
