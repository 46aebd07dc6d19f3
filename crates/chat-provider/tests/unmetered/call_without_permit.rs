//! A provider is asked without a permit.

use chat_provider::{ModelProvider, Prepared};

async fn call(provider: &dyn ModelProvider, prepared: &Prepared) {
    let _ = provider.send_completion(prepared).await;
}

fn main() {}
