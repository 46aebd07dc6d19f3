//! What a call of a model may cost, and what one did cost, by the shipped prices.
//!
//! Run it with `cargo run -p chat-usage --example quote -- openai/gpt-5-mini 3000 1000`.

use std::error::Error;

use chat_types::{Clock, ModelRef, SystemClock, Tokens, Usage};
use chat_usage::{PriceBook, bound, cost};

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let model: ModelRef = words.next().as_deref().unwrap_or("openai/gpt-4o-mini").parse()?;
    let input = Tokens::new(words.next().as_deref().unwrap_or("3000").parse()?);
    let output = Tokens::new(words.next().as_deref().unwrap_or("1000").parse()?);

    let book = PriceBook::shipped()?;
    let Some(entry) = book.lookup(&model, SystemClock.now()) else {
        println!("nobody has said what {model} costs");
        return Ok(());
    };
    let usage = Usage { input_uncached: input, output, ..Usage::default() };
    println!("{} by {}", model, entry.version());
    println!("at most {}", bound(entry, input, output)?);
    println!("exactly {} if nothing is cached", cost(entry, &usage)?);
    Ok(())
}
