//! Composes instructions and shows them with the block that changed: offline.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use chat_instructions::{InstructionBlock, Volatility, compose};

fn main() {
    let persona = InstructionBlock::new("persona", "You are a helpful assistant.");
    let date = |day: &str| {
        InstructionBlock::new("date", format!("Today is {day}."))
            .with_volatility(Volatility::Volatile)
    };
    let monday = compose(&[date("Monday"), persona.clone()]);
    let tuesday = compose(&[date("Tuesday"), persona]);
    println!("{}", tuesday.text());
    println!("hash {}", tuesday.hash().as_str());
    println!("changed since Monday: {:?}", tuesday.first_change(&monday));
}
