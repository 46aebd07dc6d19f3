//! OpenAI's wire shapes: what a request says and what each frame looks like.
//!
//! Tokens follow a fixed rule, so that tests can compute them by hand: a prompt costs 4 a message plus
//! its whitespace-separated words; a reply costs one a content chunk. With `out=plain` a prompt costs 3 more,
//! as OpenAI's models prime a reply: the rule is theirs as long as every word is one token.
//! Not here: pacing and faults (`reply`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::behaviour::Output;

/// The creation time in every reply: fixed, so that replies are byte-equal between runs.
const CREATED_S: u64 = 1_700_000_000;

/// What a model with `out=plain` charges for priming its reply.
const PRIMING: u64 = 3;

/// What a model with `out=plain` says, over and over: one token of `o200k_base` each, with a space before it
/// or without.
const PLAIN_WORDS: [&str; 24] = [
    "the", "sea", "was", "calm", "and", "a", "small", "boat", "went", "out", "to", "find", "some",
    "fish", "but", "when", "night", "came", "no", "one", "had", "seen", "it", "again",
];

/// The part of a request body that matters here; unknown fields are accepted as vendors do.
#[derive(Debug, Deserialize)]
pub(crate) struct CompletionRequest {
    pub(crate) model: String,
    pub(crate) messages: Vec<RequestMessage>,
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    #[serde(default)]
    pub(crate) stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RequestMessage {
    role: String,
    #[serde(default)]
    content: Value,
}

impl CompletionRequest {
    /// The cap on output tokens: the smaller one if both names are sent.
    pub(crate) fn cap(&self) -> Option<u64> {
        [self.max_tokens, self.max_completion_tokens].into_iter().flatten().min()
    }

    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    pub(crate) fn tokens_prompt(&self, output: Output) -> u64 {
        let priming = if output == Output::Plain { PRIMING } else { 0 };
        priming + self.messages.iter().map(|message| 4 + words(&message.content)).sum::<u64>()
    }

    /// The words `out=echo` repeats.
    pub(crate) fn echo_words(&self) -> Vec<String> {
        let last = self.messages.iter().rfind(|message| message.role == "user");
        last.map(|message| text_of(&message.content))
            .map_or_else(Vec::new, |text| text.split_whitespace().map(str::to_owned).collect())
    }
}

/// The tokens a request body's `messages` cost by the fake rule; `None` if it has no messages.
#[must_use]
pub fn prompt_tokens(body: &Value) -> Option<u64> {
    let messages = body.get("messages")?.as_array()?;
    Some(
        messages
            .iter()
            .map(|message| 4 + words(message.get("content").unwrap_or(&Value::Null)))
            .sum(),
    )
}

/// The text of a reply of `chunks` chunks: what `out=words` sends.
#[must_use]
pub fn reply_text(chunks: u64) -> String {
    (0..chunks).map(|index| chunk_text(Output::Words, &[], index)).collect()
}

/// The text of a reply of `chunks` chunks with `out=plain`.
#[must_use]
pub fn plain_text(chunks: u64) -> String {
    (0..chunks).map(|index| chunk_text(Output::Plain, &[], index)).collect()
}

/// The text of content chunk number `index`; words after the first start with a space.
pub(crate) fn chunk_text(output: Output, echo: &[String], index: u64) -> String {
    let space = if index == 0 { "" } else { " " };
    match output {
        Output::Words => format!("{space}w{index}"),
        Output::Unicode => format!("{space}é😀{index}"),
        Output::Plain => {
            let position = usize::try_from(index).unwrap_or(0) % PLAIN_WORDS.len();
            format!("{space}{}", PLAIN_WORDS.get(position).copied().unwrap_or_default())
        }
        Output::Echo => {
            let position =
                usize::try_from(index).ok().and_then(|index| index.checked_rem(echo.len()));
            let word = position.and_then(|position| echo.get(position)).map_or("…", String::as_str);
            format!("{space}{word}")
        }
    }
}

fn words(content: &Value) -> u64 {
    u64::try_from(text_of(content).split_whitespace().count()).unwrap_or(u64::MAX)
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// Builds the JSON of each frame of one reply.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    id: String,
    model: String,
    head: String,
    usage_null: &'static str,
}

impl Frames {
    /// `with_usage` adds `"usage":null` to every chunk, as vendors do when usage was asked for.
    pub(crate) fn new(id: &str, model: &str, with_usage: bool) -> Self {
        let head = format!(
            r#"{{"id":{},"object":"chat.completion.chunk","created":{CREATED_S},"model":{},"service_tier":"default","system_fingerprint":"fp_fake""#,
            Value::from(id),
            Value::from(model)
        );
        let usage_null = if with_usage { r#","usage":null"# } else { "" };
        Self { id: id.to_owned(), model: model.to_owned(), head, usage_null }
    }

    pub(crate) fn role(&self) -> String {
        self.choice(r#"{"role":"assistant","content":"","refusal":null}"#, "null")
    }

    pub(crate) fn content(&self, text: &str) -> String {
        self.choice(&format!(r#"{{"content":{}}}"#, Value::from(text)), "null")
    }

    pub(crate) fn finish(&self, reason: &str) -> String {
        self.choice("{}", &Value::from(reason).to_string())
    }

    pub(crate) fn usage(&self, usage: &Value) -> String {
        format!(r#"{},"choices":[],"usage":{usage}}}"#, self.head)
    }

    /// The whole reply of a request without `stream`.
    pub(crate) fn whole(&self, text: &str, reason: &str, usage: Option<&Value>) -> String {
        let mut reply = json!({
            "id": self.id, "object": "chat.completion", "created": CREATED_S, "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": reason,
            }],
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
        });
        if let (Some(reply), Some(usage)) = (reply.as_object_mut(), usage) {
            reply.insert("usage".to_owned(), usage.clone());
        }
        reply.to_string()
    }

    fn choice(&self, delta: &str, finish_reason: &str) -> String {
        format!(
            r#"{},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}]{}}}"#,
            self.head, self.usage_null
        )
    }
}

/// The usage object: `cached` is a part of `prompt`.
pub(crate) fn usage(prompt: u64, cached: u64, completion: u64) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

/// The error body of an HTTP status or of an error event.
pub(crate) fn error_body(message: &str, kind: &str, code: &str) -> String {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}

/// The model list.
pub(crate) fn models() -> String {
    let names = ["fake", "fake:chunks=200", "fake:chunks=200,one_write", "gpt-4o-mini"];
    let data = names.map(|id| {
        json!({"id": id, "object": "model", "created": CREATED_S, "owned_by": "fake-provider"})
    });
    json!({"object": "list", "data": data}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_costs_four_a_message_and_its_words() {
        let body = json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "one two  three"}, {"type": "image_url"}]},
            {"role": "assistant", "content": null},
        ]});
        assert_eq!(prompt_tokens(&body), Some(12 + 2 + 3));
        assert_eq!(prompt_tokens(&json!({})), None);
    }

    #[test]
    fn a_shorter_reply_is_a_prefix_of_a_longer_one() {
        assert_eq!(reply_text(3), "w0 w1 w2");
        assert!(reply_text(200).starts_with(&reply_text(57)));
    }

    #[test]
    fn a_plain_reply_has_as_many_tokens_as_chunks() {
        use chat_tokens::TokenCounter as _;

        let counter = chat_tokens::OpenAiCounter::new(chat_tokens::OpenAiEncoding::O200kBase);
        let count = |text: &str| counter.count_text(text).get();
        for chunks in 0..60 {
            assert_eq!(count(&plain_text(chunks)), chunks, "{}", plain_text(chunks));
        }
        assert_eq!(count(&plain_text(5_000)), 5_000);
    }

    #[test]
    fn every_frame_is_json() {
        let frames = Frames::new("chatcmpl-1", "fake:out=\"x\"", true);
        for frame in [
            frames.role(),
            frames.content("a \"quoted\"\nline"),
            frames.finish("stop"),
            frames.usage(&usage(3, 1, 2)),
            frames.whole("text", "length", Some(&usage(3, 1, 2))),
        ] {
            let parsed: Value = serde_json::from_str(&frame).unwrap();
            assert_eq!(parsed.get("model"), Some(&Value::from("fake:out=\"x\"")), "{frame}");
        }
    }
}
