//! Chooses the next token from the model's scores.
//!
//! Promises: greedy is deterministic; random sampling is too, given its seed. Scores that are not
//! numbers never win.

use crate::arithmetic::softmax;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Sampling {
    /// Always the likeliest token.
    #[default]
    Greedy,
    /// Drawn by likelihood.
    Random {
        /// Flattens (above 1) or sharpens (below 1) the likelihoods; zero or less means greedy.
        temperature: f32,
        /// Only the likeliest tokens that together reach this share are drawn from; `None` or a
        /// value outside `0..1` means all of them.
        top_p: Option<f32>,
        /// The same seed gives the same text.
        seed: u64,
    },
}

pub(crate) struct Sampler {
    sampling: Sampling,
    random: fastrand::Rng,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Self {
        let seed = match sampling {
            Sampling::Greedy => 0,
            Sampling::Random { seed, .. } => seed,
        };
        Self { sampling, random: fastrand::Rng::with_seed(seed) }
    }

    /// The next token's id, or `None` when no score is a number.
    pub(crate) fn choose(&mut self, scores: Vec<f32>) -> Option<u32> {
        match self.sampling {
            Sampling::Random { temperature, top_p, .. } if temperature > 0.0 => {
                self.draw(scores, temperature, top_p)
            }
            Sampling::Greedy | Sampling::Random { .. } => likeliest(&scores),
        }
    }

    fn draw(&mut self, mut scores: Vec<f32>, temperature: f32, top_p: Option<f32>) -> Option<u32> {
        for score in &mut scores {
            *score = if score.is_nan() { f32::NEG_INFINITY } else { *score / temperature };
        }
        softmax(&mut scores);
        let mut candidates: Vec<(u32, f32)> =
            (0_u32..).zip(scores).filter(|(_, share)| *share > 0.0).collect();
        candidates.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        if let Some(top_p) = top_p.filter(|top_p| (0.0..1.0).contains(top_p)) {
            let mut reached = 0.0;
            let wanted = candidates.iter().position(|(_, share)| {
                reached += share;
                reached >= top_p
            });
            candidates.truncate(wanted.unwrap_or(candidates.len()).saturating_add(1));
        }
        let total: f32 = candidates.iter().map(|(_, share)| share).sum();
        let mut remaining = self.random.f32() * total;
        let drawn = candidates.iter().find(|(_, share)| {
            remaining -= share;
            remaining < 0.0
        });
        drawn.or(candidates.first()).map(|(token_id, _)| *token_id)
    }
}

/// The first of the highest scores.
fn likeliest(scores: &[f32]) -> Option<u32> {
    let numbers = (0_u32..).zip(scores).filter(|(_, score)| !score.is_nan());
    let highest = numbers.reduce(|best, next| if next.1 > best.1 { next } else { best });
    highest.map(|(token_id, _)| token_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sampling: Sampling, scores: &[f32]) -> Vec<Option<u32>> {
        let mut sampler = Sampler::new(sampling);
        (0..200).map(|_| sampler.choose(scores.to_vec())).collect()
    }

    #[test]
    fn greedy_takes_the_first_highest_number() {
        let mut sampler = Sampler::new(Sampling::Greedy);
        assert_eq!(sampler.choose(vec![f32::NAN, 1.0, 3.0, 3.0, 2.0]), Some(2));
        assert_eq!(sampler.choose(vec![f32::NAN]), None);
        assert_eq!(sampler.choose(vec![]), None);
    }

    #[test]
    fn zero_temperature_is_greedy() {
        let sampling = Sampling::Random { temperature: 0.0, top_p: None, seed: 1 };
        assert_eq!(drawn(sampling, &[0.0, 0.1]), vec![Some(1); 200]);
    }

    #[test]
    fn same_seed_draws_the_same_and_another_seed_does_not() {
        let sampling = |seed| Sampling::Random { temperature: 1.0, top_p: None, seed };
        let scores = [0.0; 50];
        assert_eq!(drawn(sampling(7), &scores), drawn(sampling(7), &scores));
        assert_ne!(drawn(sampling(7), &scores), drawn(sampling(8), &scores));
    }

    #[test]
    fn top_p_draws_only_from_the_likeliest() {
        // Shares: about 0.47, 0.47, 0.06 and nothing.
        let scores = [2.0, 2.0, 0.0, f32::NEG_INFINITY];
        let sampling = Sampling::Random { temperature: 1.0, top_p: Some(0.9), seed: 3 };
        let all = drawn(sampling, &scores);
        assert!(all.iter().all(|token| matches!(token, Some(0 | 1))));
        assert!(all.contains(&Some(0)) && all.contains(&Some(1)));
        let sampling = Sampling::Random { temperature: 1.0, top_p: None, seed: 3 };
        assert!(drawn(sampling, &scores).contains(&Some(2)));
    }
}
