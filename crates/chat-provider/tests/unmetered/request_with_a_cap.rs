//! A request names a cap of its own beside the one that was held.

use chat_provider::ModelRequest;
use chat_types::Tokens;

fn raise(request: &mut ModelRequest) {
    request.output_cap = Tokens::new(1_000_000);
}

fn main() {}
