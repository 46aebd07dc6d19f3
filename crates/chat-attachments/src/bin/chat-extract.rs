//! Reads one file for a chat runtime, in a process of its own with small limits.

use std::process::ExitCode;

fn main() -> ExitCode {
    chat_attachments::extract_main()
}
