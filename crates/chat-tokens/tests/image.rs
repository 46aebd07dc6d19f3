//! Images by tiles: the vendor's published examples and the bounds.

use chat_tokens::{IMAGE_TOKENS_MAX, image_tokens};
use chat_types::Tokens;
use proptest::prelude::*;

#[test]
fn published_sizes_cost_the_published_tokens() {
    for (width, height, tokens) in
        [(1_024, 1_024, 765), (2_048, 4_096, 1_105), (512, 512, 255), (1, 1, 255), (0, 0, 255)]
    {
        assert_eq!(
            image_tokens(Some(width), Some(height)),
            Tokens::new(tokens),
            "{width} x {height}"
        );
    }
}

#[test]
fn an_unknown_size_costs_the_most() {
    assert_eq!(image_tokens(None, None), Tokens::new(1_445));
    assert_eq!(image_tokens(Some(10), None), IMAGE_TOKENS_MAX);
    assert_eq!(image_tokens(None, Some(10)), IMAGE_TOKENS_MAX);
}

proptest! {
    #[test]
    fn no_image_costs_more_than_the_most_and_turning_it_changes_nothing(
        width in any::<u32>(),
        height in any::<u32>(),
    ) {
        let tokens = image_tokens(Some(width), Some(height));
        prop_assert!(tokens <= IMAGE_TOKENS_MAX);
        prop_assert!(tokens >= Tokens::new(255));
        prop_assert_eq!(tokens, image_tokens(Some(height), Some(width)));
    }
}
