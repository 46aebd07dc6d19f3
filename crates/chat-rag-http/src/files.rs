//! Files: embedding, extraction, whole texts, removal.

use chat_rag::{RagError, RagErrorKind, Result};
use chat_types::{FileId, Scope};
use http::Method;
use http::header::HeaderValue;
use serde_json::{Value, json};

use crate::HttpRag;
use crate::call::{Call, document_path};
use crate::error::malformed;
use crate::multipart::{FilePart, Form, form};
use crate::wire::{WireEmbedded, WireText};

/// A file to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload<'a> {
    /// Names it from then on.
    pub id: &'a FileId,
    /// Its name; the service chooses how to read it by its ending.
    pub name: &'a str,
    /// Its media type.
    pub media_type: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// What became of a file that was embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Embedded {
    /// Whether the service has a way of its own to read this type; else it took it for text. None:
    /// it does not say.
    pub known_type: Option<bool>,
}

impl HttpRag {
    /// Has the service read, split and embed a file under its owner (`/embed`). A second call adds
    /// its chunks a second time: remove the file first.
    ///
    /// # Errors
    /// `TooLarge` for a file beyond `upload_bytes_max`; `Unsupported` if the service says that it
    /// stored nothing, which it does with status 200 too; else as the kinds say.
    pub async fn embed(&self, scope: &Scope, file: Upload<'_>) -> Result<Embedded> {
        const EMBED: &str = "embed file";
        let answer = self.upload(EMBED, scope, "/embed", file).await?;
        let embedded: WireEmbedded = answer.read("the report of an embedded file")?;
        if !embedded.status {
            let said: String = embedded.message.chars().take(200).collect();
            let detail = format!("the retrieval service stored nothing: {said}");
            return Err(RagError::new(RagErrorKind::Unsupported, EMBED, detail));
        }
        if !embedded.file_id.is_empty() && embedded.file_id != file.id.as_str() {
            return Err(malformed(EMBED, "about the file that was sent"));
        }
        Ok(Embedded { known_type: embedded.known_type })
    }

    /// Has the service extract a file's text; nothing is stored (`/text`).
    ///
    /// # Errors
    /// As [`HttpRag::embed`].
    pub async fn text(&self, scope: &Scope, file: Upload<'_>) -> Result<String> {
        let answer = self.upload("extract text", scope, "/text", file).await?;
        Ok(answer.read::<WireText>("an extracted text")?.text)
    }

    /// The whole text of a file (`/documents/{id}/context`); none if the service does not have it.
    /// It looks at no owner here: the id is the caller's to give.
    ///
    /// # Errors
    /// `TooLarge` for a text beyond `answer_bytes_max`; else as the kinds say.
    pub async fn context(&self, scope: &Scope, file: &FileId) -> Result<Option<String>> {
        const CONTEXT: &str = "read document";
        self.check_tenant(CONTEXT, scope)?;
        let call = Call::get(CONTEXT, document_path(file, "/context"), self.config.search_ms);
        let answer = self.call(scope, call).await?;
        if answer.status.as_u16() == 404 {
            return Ok(None);
        }
        answer.check()?;
        // A JSON string in newer versions, plain text in some.
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Ok(Some(serde_json::from_str::<String>(&text).unwrap_or(text)))
    }

    /// Removes files and their chunks; whether the service had all of them. A second call finds
    /// none.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn remove(&self, scope: &Scope, files: &[FileId]) -> Result<bool> {
        const REMOVE: &str = "remove files";
        self.check_tenant(REMOVE, scope)?;
        if files.is_empty() {
            return Ok(true);
        }
        let ids: Vec<&str> = files.iter().map(FileId::as_str).collect();
        let place = (Method::DELETE, "/documents");
        let wait_ms = self.config.search_ms;
        let plain = Call::json(REMOVE, place.clone(), &ids, wait_ms)?;
        let mut answer = self.call(scope, plain).await?;
        // Newer versions take an object instead of the list.
        if answer.status.as_u16() == 422 {
            let owner = self.config.entity.as_deref().unwrap_or(scope.user.as_str());
            let body = json!({ "file_ids": ids, "entity_id": owner });
            answer = self.call(scope, Call::json(REMOVE, place, &body, wait_ms)?).await?;
        }
        if answer.status.as_u16() == 404 {
            return Ok(false);
        }
        answer.check().map(|()| true)
    }

    /// Whether the service says that it works. It can say that it does not with status 200.
    ///
    /// # Errors
    /// No answer came.
    pub async fn is_healthy(&self, scope: &Scope) -> Result<bool> {
        let call = Call::get("ask for health", "/health", self.config.search_ms);
        let answer = self.call(scope, call).await?;
        let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let is_up = said.is_some_and(|said| said.get("status") == Some(&Value::from("UP")));
        Ok(answer.status.is_success() && is_up)
    }

    async fn upload(
        &self,
        operation: &'static str,
        scope: &Scope,
        path: &str,
        file: Upload<'_>,
    ) -> Result<crate::call::Answer> {
        self.check_tenant(operation, scope)?;
        if file.bytes.len() > self.config.upload_bytes_max {
            let (length, allowed) = (file.bytes.len(), self.config.upload_bytes_max);
            let detail = format!("{} has {length} bytes, {allowed} are allowed", file.id);
            return Err(RagError::new(RagErrorKind::TooLarge, operation, detail));
        }
        let mut fields = vec![("file_id", file.id.as_str())];
        if let Some(entity) = &self.config.entity {
            fields.push(("entity_id", entity));
        }
        let Upload { name, media_type, bytes, .. } = file;
        let Form { content_type, body } =
            form(&fields, &FilePart { field: "file", name, media_type, bytes });
        let content_type = HeaderValue::try_from(content_type).map_err(|error| {
            RagError::new(RagErrorKind::Invalid, operation, "no form").with_source(error)
        })?;
        let call = Call {
            operation,
            method: Method::POST,
            path: path.to_owned(),
            content_type: Some(content_type),
            body,
            whole_ms: self.config.upload_ms,
        };
        self.call(scope, call).await
    }

    fn check_tenant(&self, operation: &'static str, scope: &Scope) -> Result<()> {
        if self.serves(scope) {
            return Ok(());
        }
        let detail = "the retrieval service is another tenant's";
        Err(RagError::new(RagErrorKind::Unauthorized, operation, detail))
    }
}
