//! Takes files in, reads them in child processes and shows what a model would get: offline.
//!
//! The program starts itself again to read a file, as a program of one binary does.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use chat_attachments::{
    Extractor, ExtractorConfig, FileCaps, FileKind, FileLibrary, FileText, MemoryBlobs, cap_texts,
    deliver, extract_main, fence,
};
use chat_tokens::EstimateCounter;
use chat_types::{Modalities, SystemClock, Tokens, UuidIds};

const EXTRACT: &str = "extract-file";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(EXTRACT) {
        return extract_main();
    }
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn show() -> Result<(), Box<dyn Error>> {
    let program = ExtractorConfig::new(std::env::current_exe()?).argument(EXTRACT);
    let extractor = Arc::new(Extractor::new(program));
    let (ids, clock) = (Arc::new(UuidIds), Arc::new(SystemClock));
    let library = FileLibrary::new(Arc::new(MemoryBlobs::new()), extractor, ids, clock);
    let mut files = Vec::new();
    for path in std::env::args().skip(1) {
        files.push((path.clone(), std::fs::read(path)?));
    }
    if files.is_empty() {
        let page =
            b"<html><h1>Hello</h1><p>A page with a <a href=\"https://example.org\">link</a>.";
        files.push(("hello.html".to_owned(), page.to_vec()));
        files.push(("../broken.pdf".to_owned(), b"%PDF-1.7 and then nothing \0".to_vec()));
    }
    for (name, bytes) in files {
        let file = library.add(&name, bytes.into()).await?;
        println!("{} is {}, {} bytes", file.name, file.media_type, file.size_bytes);
        let read = match library.text_of(&file).await {
            Ok(read) => read,
            Err(error) => {
                println!("  {}: {error}", error.code());
                continue;
            }
        };
        let kind = FileKind::of_media_type(&file.media_type);
        let has_text = Some(!read.text.is_empty());
        let delivered = deliver(kind, Modalities::default(), None, has_text);
        println!("  {:?}, because {}", delivered.how, delivered.reason);
        let texts = [FileText { name: &file.name, text: &read.text, tokens: None }];
        let window = Tokens::new(8_000);
        for text in cap_texts(&texts, window, FileCaps::default(), &EstimateCounter::default()) {
            println!("{}", fence(file.id.as_str(), &file.name, file.content.as_str(), &text.text));
        }
    }
    Ok(())
}
