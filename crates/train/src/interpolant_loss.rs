//! The losses of stochastic interpolants: velocity, latent noise and score as regressions on pairs of samples.
//!
//! For `x_t = I_t(x_data, x_base) + γ z` (Albergo, Boffi & Vanden-Eijnden 2023, arXiv 2303.08797, section 4) each field
//! minimises the mean of `½|p|² − T·p` over predictions p at `x_t`, with the target
//!
//! | field | target T | minimiser |
//! | --- | --- | --- |
//! | velocity b | ∂_t I + γ̇ z | E[∂_t x_t given x_t] |
//! | latent noise η | z | E[z given x_t] |
//! | score s | −z/γ | ∇ log p_t = −η/γ |
//! | interpolation velocity v | ∂_t I | E[∂_t I given x_t], so that b = v − γ γ̇ s |
//!
//! Mind the sign of η: here as in the paper η is the expectation of +z; the public code keeps −η under the same name.
//!
//! γ̇ and 1/γ grow without bound at the ends. On the **antithetic pair** `I_t ± γ z` the large terms meet the difference of
//! two predictions at close places, so the sum of the two losses has bounded variance.
//!
//! Time has the direction of the coefficients handed in; on the sampler's clock (0 = data, 1 = base) b is dx/dt of that
//! clock, which is the opposite of the paper's.

use crate::error::TrainError;

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterpolantLoss {
    /// L_b: the velocity b.
    Velocity,
    /// L_η: the latent noise η.
    Noise,
    /// L_s: the score s.
    Score,
    /// L_v: the velocity of the interpolation without the latent noise.
    InterpolationVelocity,
}

/// Coefficients of `x_t = data · x_data + base · x_base + noise · z` at one time, and their time derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InterpolantCoefficients {
    /// Coefficient of the data.
    pub data: f64,
    /// Coefficient of the base sample; 0 where the base is the noise z.
    pub base: f64,
    /// γ, the coefficient of the noise.
    pub noise: f64,
    /// Derivative of `data`.
    pub d_data: f64,
    /// Derivative of `base`.
    pub d_base: f64,
    /// γ̇.
    pub d_noise: f64,
}

/// The draws of one training example, equally long.
#[derive(Clone, Copy, Debug)]
pub struct InterpolantDraw<'a> {
    /// A sample of the data.
    pub data: &'a [f64],
    /// The sample of the base it is coupled with.
    pub base: &'a [f64],
    /// Standard normal numbers z.
    pub noise: &'a [f64],
}

impl InterpolantDraw<'_> {
    fn check(&self, others: &[usize]) -> Result<(), TrainError> {
        let expected = self.data.len();
        match [self.base.len(), self.noise.len()].iter().chain(others).find(|found| **found != expected) {
            None => Ok(()),
            Some(&found) => {
                Err(TrainError::Length { what: "a vector of an interpolant loss", expected, found })
            }
        }
    }
}

impl InterpolantCoefficients {
    /// The pair of network inputs `[I_t + γ z, I_t − γ z]`.
    ///
    /// # Errors
    /// [`TrainError::Length`] if the draws are not equally long.
    pub fn inputs(&self, draw: &InterpolantDraw<'_>) -> Result<[Vec<f64>; 2], TrainError> {
        draw.check(&[])?;
        let input = |sign: f64| {
            let ends = draw.data.iter().zip(draw.base);
            ends.zip(draw.noise)
                .map(|((data, base), z)| self.data * data + self.base * base + sign * self.noise * z)
                .collect()
        };
        Ok([input(1.0), input(-1.0)])
    }
}

impl InterpolantLoss {
    /// The target is `even · ∂_t I ± odd · z`.
    fn parts(self, c: &InterpolantCoefficients) -> (f64, f64) {
        match self {
            Self::Velocity => (1.0, c.d_noise),
            Self::Noise => (0.0, 1.0),
            Self::Score => (0.0, -1.0 / c.noise),
            Self::InterpolationVelocity => (1.0, 0.0),
        }
    }

    /// The loss `½|p|² − T·p` of a prediction at `I_t + γ z`, and its gradient `p − T`, written to `gradient`.
    ///
    /// # Errors
    /// [`TrainError::Length`] if the vectors are not equally long.
    pub fn evaluate(
        self,
        c: &InterpolantCoefficients,
        draw: &InterpolantDraw<'_>,
        prediction: &[f64],
        gradient: &mut [f64],
    ) -> Result<f64, TrainError> {
        draw.check(&[prediction.len(), gradient.len()])?;
        let (even, odd) = self.parts(c);
        let mut loss = 0.0;
        for (i, (p, gradient)) in prediction.iter().zip(gradient).enumerate() {
            let target = even * (c.d_data * draw.data[i] + c.d_base * draw.base[i]) + odd * draw.noise[i];
            loss += 0.5 * p * p - target * p;
            *gradient = p - target;
        }
        Ok(loss)
    }

    /// The sum of the losses at the antithetic pair: `predictions` at `I_t + γ z` and at `I_t − γ z`, and the gradients
    /// with respect to both.
    ///
    /// # Errors
    /// [`TrainError::Length`] if the vectors are not equally long.
    pub fn evaluate_pair(
        self,
        c: &InterpolantCoefficients,
        draw: &InterpolantDraw<'_>,
        predictions: [&[f64]; 2],
        gradients: [&mut [f64]; 2],
    ) -> Result<f64, TrainError> {
        let [plus, minus] = predictions;
        let [gradient_plus, gradient_minus] = gradients;
        draw.check(&[plus.len(), minus.len(), gradient_plus.len(), gradient_minus.len()])?;
        let (even, odd) = self.parts(c);
        let mut loss = 0.0;
        for i in 0..draw.data.len() {
            let (p, m, z) = (plus[i], minus[i], draw.noise[i]);
            let slope = even * (c.d_data * draw.data[i] + c.d_base * draw.base[i]);
            // The difference of the predictions first: it is of the order of γ, `odd` of 1/γ.
            loss += 0.5 * (p * p + m * m) - slope * (p + m) - odd * (z * (p - m));
            gradient_plus[i] = p - slope - odd * z;
            gradient_minus[i] = m - slope + odd * z;
        }
        Ok(loss)
    }
}
