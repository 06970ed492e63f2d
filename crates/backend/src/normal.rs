//! From random bits to standard normal numbers, the same on every platform.
//!
//! The transform is the inverse of the normal distribution function, algorithm AS 241 (`PPND16`) of M. J. Wichura,
//! *Applied Statistics* 37 (1988) 477–484, relative accuracy about 1e-16. It is used instead of Box–Muller because
//! - one word gives one number, so a draw can be addressed by its element alone;
//! - the central 85 % need only two polynomials and one division (no table, no rejection, vectorisable);
//! - it is monotone, hence usable with antithetic or stratified words.
//!
//! Arithmetic is IEEE `+ - * /`, `sqrt` and the portable logarithm of crate `libm`, never the platform's, so equal
//! bits give equal numbers everywhere.

#![expect(clippy::excessive_precision, reason = "the constants are written as published")]

/// Half width of the central region of AS 241.
const CENTRAL: f64 = 0.425;

const A: [f64; 8] = [
    3.387_132_872_796_366_608,
    1.331_416_678_917_843_774_5e2,
    1.971_590_950_306_551_442_7e3,
    1.373_169_376_550_946_112_5e4,
    4.592_195_393_154_987_145_7e4,
    6.726_577_092_700_870_085_3e4,
    3.343_057_558_358_812_810_5e4,
    2.509_080_928_730_122_672_7e3,
];
const B: [f64; 8] = [
    1.0,
    4.231_333_070_160_091_125_2e1,
    6.871_870_074_920_579_083e2,
    5.394_196_021_424_751_107_7e3,
    2.121_379_430_158_659_586_7e4,
    3.930_789_580_009_271_061e4,
    2.872_908_573_572_194_267_4e4,
    5.226_495_278_852_854_561e3,
];
const C: [f64; 8] = [
    1.423_437_110_749_683_577_34,
    4.630_337_846_156_545_295_9,
    5.769_497_221_460_691_405_5,
    3.647_848_324_763_204_605_04,
    1.270_458_252_452_368_382_58,
    2.417_807_251_774_506_117_7e-1,
    2.272_384_498_926_918_458_33e-2,
    7.745_450_142_783_414_076_4e-4,
];
const D: [f64; 8] = [
    1.0,
    2.053_191_626_637_758_821_87,
    1.676_384_830_183_803_849_4,
    6.897_673_349_851_000_045_5e-1,
    1.481_039_764_274_800_745_9e-1,
    1.519_866_656_361_645_719_66e-2,
    5.475_938_084_995_344_946e-4,
    1.050_750_071_644_416_843_24e-9,
];
const E: [f64; 8] = [
    6.657_904_643_501_103_777_2,
    5.463_784_911_164_114_369_9,
    1.784_826_539_917_291_335_8,
    2.965_605_718_285_048_912_3e-1,
    2.653_218_952_657_612_309_3e-2,
    1.242_660_947_388_078_438_6e-3,
    2.711_555_568_743_487_578_15e-5,
    2.010_334_399_292_288_132_65e-7,
];
const F: [f64; 8] = [
    1.0,
    5.998_322_065_558_879_376_9e-1,
    1.369_298_809_227_358_053_1e-1,
    1.487_536_129_085_061_485_25e-2,
    7.868_691_311_456_132_591e-4,
    1.846_318_317_510_054_681_8e-5,
    1.421_511_758_316_445_888_7e-7,
    2.044_263_103_389_939_785_64e-15,
];

#[inline]
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    let [c0, c1, c2, c3, c4, c5, c6, c7] = *coefficients;
    ((((((c7 * x + c6) * x + c5) * x + c4) * x + c3) * x + c2) * x + c1) * x + c0
}

/// The centred uniform number of a word: `(bits + ½) / 2³² − ½`, exact in f64 and never 0 or ±½.
#[inline]
fn centred(bits: u32) -> f64 {
    (f64::from(bits) - 2_147_483_647.5) * (1.0 / 4_294_967_296.0)
}

#[inline]
fn central(q: f64) -> f64 {
    let r = CENTRAL * CENTRAL - q * q;
    q * polynomial(&A, r) / polynomial(&B, r)
}

/// `tail` = the smaller of p and 1 − p.
fn far(q: f64, tail: f64) -> f64 {
    let r = libm::sqrt(-libm::log(tail));
    let magnitude = if r <= 5.0 {
        polynomial(&C, r - 1.6) / polynomial(&D, r - 1.6)
    } else {
        polynomial(&E, r - 5.0) / polynomial(&F, r - 5.0)
    };
    if q < 0.0 { -magnitude } else { magnitude }
}

/// The number x with Φ(x) = `p`, for 0 < p < 1; −∞ at 0, +∞ at 1, NaN outside.
#[must_use]
pub fn inverse_normal_cdf(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= CENTRAL {
        central(q)
    } else if p <= 0.0 || p >= 1.0 || p.is_nan() {
        match p {
            0.0 => f64::NEG_INFINITY,
            1.0 => f64::INFINITY,
            _ => f64::NAN,
        }
    } else {
        far(q, if q < 0.0 { p } else { 1.0 - p })
    }
}

/// The standard normal number of a random word: Φ⁻¹((bits + ½) / 2³²), between −6.34 and 6.34.
#[inline]
#[must_use]
pub fn standard_normal(bits: u32) -> f64 {
    let q = centred(bits);
    if q.abs() <= CENTRAL { central(q) } else { far(q, 0.5 - q.abs()) }
}

/// [`standard_normal`] of every word, bit for bit, written to `out` (as many as the shorter of the two has).
///
/// The central formula runs over all words without a branch while the places of the tails are collected; the tails are
/// then redone together. About 4 ns per word on one core.
pub fn standard_normals(bits: &[u32], out: &mut [f64]) {
    const AT_ONCE: usize = 64;
    for (words, values) in bits.chunks(AT_ONCE).zip(out.chunks_mut(AT_ONCE)) {
        let mut place = [0u8; AT_ONCE];
        let mut root = [0.0; AT_ONCE];
        let mut tails = 0;
        for (i, (value, &word)) in values.iter_mut().zip(words).enumerate() {
            let q = centred(word);
            *value = central(q);
            place[tails % AT_ONCE] = i as u8;
            tails += usize::from(q.abs() > CENTRAL);
        }
        for (root, &i) in root.iter_mut().zip(&place[..tails]) {
            *root = libm::sqrt(-libm::log(0.5 - centred(words[usize::from(i)]).abs()));
        }
        // A word's tail is at least 2^-33, so the root is below 5 and the outermost formula is never needed.
        for root in &mut root[..tails] {
            *root = polynomial(&C, *root - 1.6) / polynomial(&D, *root - 1.6);
        }
        for (root, &i) in root.iter().zip(&place[..tails]) {
            let i = usize::from(i);
            values[i] = if centred(words[i]) < 0.0 { -root } else { *root };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ from the complementary error function of an independent implementation.
    fn cdf(x: f64) -> f64 {
        0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
    }

    #[test]
    fn inverts_the_distribution_function() {
        for p in [1e-300, 1e-20, 1e-12, 1e-5, 0.01, 0.074, 0.076, 0.3, 0.5, 0.8, 0.95, 0.999] {
            let back = cdf(inverse_normal_cdf(p));
            assert!((back - p).abs() <= 4e-14 * p.max(1e-300) * (1.0 + libm::log(p).abs()), "{p}: {back}");
        }
        assert_eq!(inverse_normal_cdf(0.0), f64::NEG_INFINITY);
        assert_eq!(inverse_normal_cdf(1.0), f64::INFINITY);
        assert!(inverse_normal_cdf(1.5).is_nan() && inverse_normal_cdf(f64::NAN).is_nan());
        // Published in AS 241: the 0.25, 0.001 and 1e-20 points.
        assert!((inverse_normal_cdf(0.25) + 0.674_489_750_196_081_7).abs() < 1e-15);
        assert!((inverse_normal_cdf(0.001) + 3.090_232_306_167_813_5).abs() < 4e-15);
        assert!((inverse_normal_cdf(1e-20) + 9.262_340_089_798_408).abs() < 1e-14);
    }

    #[test]
    fn words_are_symmetric_and_bounded() {
        for word in [0, 1, 12345, 0x0123_4567, 0x7fff_ffff] {
            assert_eq!(standard_normal(word), -standard_normal(!word));
        }
        assert!((standard_normal(0) + 6.338).abs() < 1e-2);
        let words: Vec<u32> = (0..10_000u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let mut out = vec![0.0; words.len()];
        standard_normals(&words, &mut out);
        for (word, value) in words.iter().zip(&out) {
            assert_eq!(value.to_bits(), standard_normal(*word).to_bits());
        }
    }

    /// Moments over an even grid of all words: mean 0, variance 1, fourth moment 3.
    #[test]
    fn moments() {
        let n = 1u32 << 20;
        let (mut second, mut fourth, mut first) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let x = standard_normal(i * 4096 + 2048);
            first += x;
            second += x * x;
            fourth += x * x * x * x;
        }
        let n = f64::from(n);
        assert!(
            (first / n).abs() < 1e-5 && (second / n - 1.0).abs() < 1e-4 && (fourth / n - 3.0).abs() < 2e-3
        );
    }
}
