//! A provider is asked with a grant that no journal stands behind.

use chat_provider::{ModelProvider, Prepared};
use chat_types::StepGrant;

async fn call(provider: &dyn ModelProvider, prepared: &Prepared, grant: &StepGrant) {
    let _ = provider.send_completion(prepared, grant).await;
}

fn main() {}
