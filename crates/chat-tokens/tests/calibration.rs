//! Calibration: what it learns, what bounds it, how counts of different ratios stay apart.

use std::sync::Arc;

use chat_tokens::{
    Calibration, EstimateFamily, FamilyEstimate, OpenAiCounter, OpenAiEncoding, RATIO_PERMILLE_MAX,
    RATIO_PERMILLE_MIN, StoredCalibration, TokenCounter, calibrated, error_band, uncalibrated,
};
use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens};
use proptest::prelude::*;

fn observed(samples: &[(u64, u64)]) -> Calibration {
    let mut calibration = Calibration::new();
    for (counted, reported) in samples {
        calibration.observe(Tokens::new(*counted), Tokens::new(*reported));
    }
    calibration
}

#[test]
fn three_samples_of_some_size_make_a_ratio() {
    for (samples, ratio) in [
        (vec![], None),
        (vec![(1_000, 1_200); 2], None),
        (vec![(100, 120); 3], None),
        (vec![(1_000, 1_200); 3], Some(1_200)),
        (vec![(1_000, 1_000), (1_000, 1_200), (2_000, 2_600)], Some(1_200)),
        (vec![(1_000, 1); 3], Some(RATIO_PERMILLE_MIN)),
        (vec![(1_000, 1_000_000); 3], Some(RATIO_PERMILLE_MAX)),
    ] {
        assert_eq!(observed(&samples).ratio_permille(), ratio, "{samples:?}");
    }
}

#[test]
fn what_says_nothing_is_not_taken() {
    let mut calibration = observed(&[(1_000, 1_200); 3]);
    let before = calibration.clone();
    for (counted, reported) in [(0, 0), (63, 1_000), (1_000, 0)] {
        assert!(!calibration.observe(Tokens::new(counted), Tokens::new(reported)));
    }
    assert_eq!(calibration, before);
    assert!(calibration.observe(Tokens::new(64), Tokens::new(64)));
    assert_eq!(calibration.samples(), 4);
}

#[test]
fn one_huge_prompt_does_not_outweigh_the_rest_and_the_old_fades() {
    let mut samples = vec![(10_000, 10_000); 8];
    samples.push((10_000_000, 20_000_000));
    let ratio = observed(&samples).ratio_permille().expect("enough");
    assert!((1_000..=1_300).contains(&ratio), "{ratio}");

    let mut samples = vec![(10_000, 10_000); 100];
    samples.extend(vec![(10_000, 14_000); 60]);
    let calibration = observed(&samples);
    let ratio = calibration.ratio_permille().expect("enough");
    assert!(ratio > 1_350, "it follows a provider that changed: {ratio}");
    let (low, _) = calibration.spread_permille();
    assert!(low > 1_000, "and forgets how far off it once was: {low}");
}

#[test]
fn it_is_kept_and_read_back_and_nonsense_is_refused() {
    let calibration = observed(&[(1_000, 1_150), (5_000, 6_000), (2_000, 2_100)]);
    let json = serde_json::to_string(&calibration.to_stored()).expect("json");
    let stored: StoredCalibration = serde_json::from_str(&json).expect("reads itself");
    assert_eq!(Calibration::from_stored(stored).expect("valid"), calibration);
    assert!(json.len() < 120, "{json}");
    let empty = Calibration::new();
    assert_eq!(Calibration::from_stored(empty.to_stored()).expect("valid"), empty);

    for (change, said) in [
        (StoredCalibration { counted: 300_000, ..stored }, "more tokens are counted"),
        (StoredCalibration { low_permille: 499, ..stored }, "500 to 5000"),
        (StoredCalibration { high_permille: 5_001, ..stored }, "500 to 5000"),
        (StoredCalibration { low_permille: 1_300, ..stored }, "above the highest"),
        (StoredCalibration { samples: 0, ..stored }, "without samples"),
        (StoredCalibration { reported: 50_000, ..stored }, "highest ratio allows"),
    ] {
        let error = Calibration::from_stored(change).expect_err(said);
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!((error.code(), error.is_transient()), ("invalid_calibration", false));
    }
    assert!(serde_json::from_str::<StoredCalibration>(r#"{"samples":1}"#).is_err());
}

#[test]
fn a_calibrated_counter_scales_everything_and_says_so_in_its_name() {
    let estimate: Arc<dyn TokenCounter> = Arc::new(FamilyEstimate::new(EstimateFamily::Claude));
    let calibration = observed(&[(1_000, 1_210); 3]);
    let counter = calibrated(Arc::clone(&estimate), &calibration);
    assert_eq!(counter.provenance(), Provenance::Calibrated);
    assert_eq!(counter.tokenizer(), &TokenizerId::from_static("estimate:claude@1250"));
    assert_eq!(counter.media_tokenizer(), counter.tokenizer());
    let parts = [ContentPart::text("The quick brown fox jumps over the lazy dog.")];
    let raw = estimate.count_message(Role::User, &parts);
    let scaled = counter.count_message(Role::User, &parts);
    assert_eq!(scaled, raw.scaled_up(1_250, 1_000));
    assert_eq!(counter.priming(), estimate.priming().scaled_up(1_250, 1_000));
    // Going back for the next observation loses nothing to speak of.
    let back = uncalibrated(scaled, counter.tokenizer());
    assert!(back >= raw && back <= raw.plus(Tokens::new(1)), "{back} {raw}");
    assert_eq!(uncalibrated(scaled, estimate.tokenizer()), scaled);
    for odd in ["model@home", "x@0", "x@99999", "@"] {
        assert_eq!(uncalibrated(scaled, &TokenizerId::new(odd)), scaled, "{odd}");
    }
}

#[test]
fn too_little_to_go_by_or_an_exact_counter_changes_nothing() {
    let exact: Arc<dyn TokenCounter> = Arc::new(OpenAiCounter::new(OpenAiEncoding::O200kBase));
    let counter = calibrated(exact, &observed(&[(1_000, 1_210); 3]));
    assert_eq!(counter.provenance(), Provenance::Counted);
    assert_eq!(counter.tokenizer().as_str(), "o200k_base");
    let estimate: Arc<dyn TokenCounter> = Arc::new(FamilyEstimate::new(EstimateFamily::Gemini));
    let counter = calibrated(estimate, &observed(&[(1_000, 1_210); 2]));
    assert_eq!(counter.tokenizer().as_str(), "estimate:gemini");
}

#[test]
fn the_weaker_the_provenance_the_wider_the_band() {
    let total = Tokens::new(10_000);
    let calibration = observed(&[(1_000, 1_100), (1_000, 1_200), (1_000, 1_300)]);
    let band = |provenance, calibration| {
        let band = error_band(total, provenance, calibration);
        assert!(band.contains(total));
        (band.low.get(), band.high.get())
    };
    assert_eq!(band(Provenance::Reported, None), (10_000, 10_000));
    assert_eq!(band(Provenance::Counted, None), (9_800, 10_200));
    assert_eq!(band(Provenance::Estimated, None), (3_330, 15_000));
    assert_eq!(band(Provenance::Calibrated, None), (3_330, 15_000));
    // 1.2 is used; 1.1 to 1.3 were seen (84 permille of it), three times (333), and the next may lie beyond (50).
    assert_eq!(band(Provenance::Calibrated, Some(&calibration)), (5_330, 14_670));
    // What agreed so far may still differ a little.
    let agreed = observed(&[(1_000, 1_200); 100]);
    assert_eq!(band(Provenance::Calibrated, Some(&agreed)), (9_400, 10_600));
    let sum = error_band(total, Provenance::Reported, None).plus(error_band(
        total,
        Provenance::Counted,
        None,
    ));
    assert_eq!((sum.low.get(), sum.high.get()), (19_800, 20_200));
}

fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_000_u64, any::<u64>()]
}

proptest! {
    #[test]
    fn the_ratio_stays_between_the_ratios_seen_whatever_the_order(
        mut samples in proptest::collection::vec((any_size(), any_size()), 0..60),
        turn in any::<proptest::sample::Index>(),
    ) {
        for _ in 0..2 {
            let calibration = observed(&samples);
            let ratios = samples
                .iter()
                .filter(|(counted, reported)| *counted >= 64 && *reported > 0)
                .map(|(counted, reported)| {
                    let ratio = u128::from(*reported) * 1_000 / u128::from(*counted);
                    u32::try_from(ratio).unwrap_or(u32::MAX)
                        .clamp(RATIO_PERMILLE_MIN, RATIO_PERMILLE_MAX)
                });
            let (low, high) = (ratios.clone().min(), ratios.max());
            if let Some(ratio) = calibration.ratio_permille() {
                // Each sample is rounded up by less than a token of at least 64.
                prop_assert!(Some(ratio) >= low.map(|low| low - 1));
                prop_assert!(Some(ratio) <= high.map(|high| high + 16));
                let (lowest, highest) = calibration.spread_permille();
                prop_assert!(lowest <= ratio + 1 && ratio <= highest + 16);
            }
            let stored = calibration.to_stored();
            prop_assert_eq!(Calibration::from_stored(stored).ok(), Some(calibration));
            if !samples.is_empty() {
                let at = turn.index(samples.len());
                samples.rotate_left(at);
            }
        }
    }

    #[test]
    fn the_band_contains_what_is_reported_within_what_was_seen(
        // Few enough that nothing fades.
        ratios in proptest::collection::vec(500..=5_000_u32, 3..20),
        pick in any::<proptest::sample::Index>(),
        raw in 1_000..1_000_000_u64,
    ) {
        let samples: Vec<(u64, u64)> =
            ratios.iter().map(|ratio| (1_000, u64::from(*ratio))).collect();
        let calibration = observed(&samples);
        let used = calibration.step_permille().expect("three of a thousand");
        prop_assert!(used.is_multiple_of(50) && used <= RATIO_PERMILLE_MAX);
        let counted = Tokens::new(raw).scaled_up(used, 1_000);
        let band = error_band(counted, Provenance::Calibrated, Some(&calibration));
        let ratio = ratios[pick.index(ratios.len())];
        // Rounded up: below the lowest ratio seen would not be within what was seen.
        let reported = Tokens::new(raw).scaled_up(ratio, 1_000);
        prop_assert!(band.contains(reported), "{band:?} {reported} by {used}");
        prop_assert!(band.contains(counted));
    }
}
