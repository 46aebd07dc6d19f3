//! Indexes two documents in memory, asks a question and prints what would go into the prompt:
//! offline.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use chat_rag::{
    Document, MemoryIndex, RagIndex as _, Retrieval, RetrievalConfig, RetrievalRequest, citations,
    fence,
};
use chat_types::{FileId, Scope, TenantId, Tokens, UserId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scope = Scope::new(TenantId::new("default")?, UserId::new("ada")?);
    let index = MemoryIndex::new();
    let manual = "# Kettle\n\n## Descaling\n\nFill it with one part vinegar and two parts water, \
                  boil, wait an hour, rinse twice.\n\n## Warranty\n\nTwo years.\n";
    let manual = Document {
        media_type: "text/markdown".to_owned(),
        ..Document::new(FileId::new("manual")?, "kettle.md", manual)
    };
    let recipe = Document::new(FileId::new("recipe")?, "tea.txt", "Green tea draws at 75 degrees.");
    for document in [&manual, &recipe] {
        let added = index.add(&scope, document, &|_| {}).await?;
        println!("{}: {} chunks", document.name, added.chunks);
    }
    let retrieval = Retrieval::new("memory", Arc::new(index), RetrievalConfig::default())?;
    let request = RetrievalRequest::new(scope, "How do I descale the kettle?");
    let count = |text: &str| Tokens::from_len(text.split_whitespace().count());
    let retrieved = retrieval.retrieve(&request, Tokens::new(400), &count).await?;
    println!("\n{}\n", fence(&retrieved.snippets));
    for citation in citations(&retrieved.snippets) {
        println!("[{}] {}", citation.id, citation.title);
    }
    Ok(())
}
