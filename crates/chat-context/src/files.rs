//! Attached files on their way into a prompt: as text at the message that carried them, as a part
//! of their own, or not at all.
//!
//! A file's text enters a prompt once, at the newest message that carries the file; older ones name
//! it. Files of a reply were made to be shown: they are named, never sent. Not here: reading and
//! extracting files, and what a model can take (the reader's).

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use async_trait::async_trait;
use chat_types::{ContentPart, FileId, Message, Role};

/// How a file goes to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileForm {
    /// As a part of its own, its bytes beside the prompt.
    Native,
    /// As text, fenced as data and cut to its share already.
    Text(String),
    /// Not at all; the model is told that it is there.
    Absent,
}

/// A file as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredFile {
    /// Which one.
    pub file: FileId,
    /// How.
    pub form: FileForm,
    /// Why so, in a few words, for the report.
    pub reason: String,
}

/// The files could not be read. Not the same as a file that is not there.
#[derive(Debug, thiserror::Error)]
#[error("the attached files could not be read")]
pub struct FileReadError {
    /// Reading again may succeed.
    pub is_transient: bool,
    /// What happened.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Reads files for a prompt; whoever asks is checked again at each call.
#[async_trait]
pub trait FileReader: Debug + Send + Sync {
    /// The files of one message as the model gets them, in any order. Those that the asker does not
    /// own, or that are gone, are left out.
    ///
    /// # Errors
    /// `FileReadError` if it is not known whether they are there: no prompt is built then, rather
    /// than one without them.
    async fn read(&self, files: &[FileId]) -> Result<Vec<DeliveredFile>, FileReadError>;
}

/// What is known of the files of a prompt so far. Messages are shown to it newest first.
#[derive(Debug, Default)]
pub(crate) struct Files {
    known: HashMap<FileId, DeliveredFile>,
    asked: HashSet<FileId>,
    /// Files whose text stands in the prompt already.
    told: HashSet<FileId>,
}

impl Files {
    /// Reads the files that `messages` carry and that were not asked for before.
    pub(crate) async fn learn(
        &mut self,
        reader: Option<&dyn FileReader>,
        messages: &[Message],
    ) -> Result<(), FileReadError> {
        let Some(reader) = reader else { return Ok(()) };
        for message in messages.iter().filter(|message| message.role == Role::User) {
            let carried = message.parts.iter().filter_map(ContentPart::file);
            let new: Vec<FileId> =
                carried.filter(|file| self.asked.insert((*file).clone())).cloned().collect();
            if !new.is_empty() {
                let known = reader.read(&new).await?;
                self.known.extend(known.into_iter().map(|file| (file.file.clone(), file)));
            }
        }
        Ok(())
    }

    /// Puts what is sent of the files of `message` in their place, and says why it is sent so; none
    /// if it carries no file, or if nobody reads files here.
    pub(crate) fn deliver(&mut self, message: &mut Message) -> Option<String> {
        if message.role != Role::User {
            return name_shown(message);
        }
        if self.asked.is_empty() {
            return None;
        }
        let mut reasons: Vec<String> = Vec::new();
        for part in &mut message.parts {
            let Some(file) = part.file() else { continue };
            let known = self.known.get(file);
            let reason = known.map_or("file not available", |delivered| &delivered.reason);
            if !reasons.iter().any(|told| told == reason) {
                reasons.push(reason.to_owned());
            }
            *part = match known.map(|delivered| &delivered.form) {
                Some(FileForm::Native) => continue,
                Some(FileForm::Text(text)) if self.told.insert(file.clone()) => {
                    ContentPart::text(text.clone())
                }
                Some(FileForm::Text(_)) => mention(part, "its text stands below"),
                Some(FileForm::Absent) => mention(part, "its content is not in this prompt"),
                None => mention(part, "it is not available"),
            };
        }
        if reasons.is_empty() {
            return None;
        }
        // Counts of the message as it is stored say nothing of what is sent.
        message.token_counts.clear();
        Some(reasons.join("; "))
    }
}

/// Names the files that came with a reply.
fn name_shown(message: &mut Message) -> Option<String> {
    let mut shown = message.parts.iter_mut().filter(|part| part.file().is_some()).peekable();
    shown.peek()?;
    shown.for_each(|part| *part = mention(part, "it was shown to the user"));
    message.token_counts.clear();
    Some("a reply's file is shown, not sent".to_owned())
}

/// A file that is only named; the name is a label, so what could end the brackets is taken out.
fn mention(part: &ContentPart, why: &str) -> ContentPart {
    let name: String = match part {
        ContentPart::File { name, .. } => {
            name.chars().filter(|c| !matches!(c, '[' | ']') && !c.is_control()).collect()
        }
        _ => "image".to_owned(),
    };
    ContentPart::text(format!("[attached: {name}; {why}]"))
}
