//! How one request is answered, read from its model name.
//!
//! # Grammar
//!
//! `fake` or `fake:PAIR,PAIR,…`. A pair is `key=value` or a bare `key`. For places that allow only id
//! characters, `:` may stand for `,` and `-` for `=`: `fake:chunks-200:cut_after-3`.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `chunks=N` | 8 | words the model wants to say; the request's cap may cut them |
//! | `out=words\|echo\|unicode\|plain` | words | `w0 w1 …`; the last user message's words again; multi-byte text; words of one token each in OpenAI's `o200k_base`, and prompts cost what such a model charges |
//! | `header_delay_ms=N` | 0 | wait before the response head |
//! | `first_delay_ms=N` | 0 | wait before the first content chunk |
//! | `delay_ms=N` | 0 | wait between content chunks |
//! | `one_write` | | all frames in one write (otherwise each frame is a write of its own) |
//! | `split` | | each frame in two writes, cut in the middle of its bytes |
//! | `bom`, `crlf`, `comments` | | a leading BOM; CRLF line ends; a comment line before each frame |
//! | `no_usage`, `no_done` | | leave out the usage chunk; leave out `data: [DONE]` |
//! | `cached=N` | 0 | prompt tokens reported and priced as cache reads |
//! | `overrun_percent=N` | 100 | output tokens are reported and billed times N / 100, rounded up |
//!
//! Faults, on every attempt, or on the first `fail_times=N` attempts of one request only (same
//! `Idempotency-Key` header, or else same body):
//!
//! | key | meaning |
//! |---|---|
//! | `status=CODE` | answer 400 to 599 with an error body, nothing is charged |
//! | `retry_after_ms=N` | with `status`: the headers `retry-after-ms` and `retry-after` |
//! | `should_retry=true\|false` | with `status`: the header `x-should-retry` |
//! | `quota` | with `status=429`: the error code is `insufficient_quota` |
//! | `html` | answer 200 with a web page, nothing is charged |
//! | `cut_after=K` | close the connection after K content chunks |
//! | `stall_after=K` | send nothing more after K content chunks, keep the connection |
//! | `error_event_after=K` | an error event after K content chunks, then the end, without `[DONE]` |
//! | `malformed_after=K` | one event that is not JSON after K content chunks, then go on |
//!
//! `error_once` is the short form of `status=500,fail_times=1`.

use std::time::Duration;

/// The longest wait a request may ask for: a test that waits longer is a mistake.
const DELAY_MAX_MS: u64 = 600_000;
/// The longest reply: 64 MiB of frames, far above any window under test.
const CHUNKS_MAX: u64 = 250_000;

/// What kind of text is produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// `w0 w1 w2 …`
    #[default]
    Words,
    /// The words of the last user message, over and over.
    Echo,
    /// `é😀0 é😀1 …`: characters of two and four bytes.
    Unicode,
    /// English words, each one token of `o200k_base`: a counter that knows the encoding must agree.
    Plain,
}

/// How one request is answered. See the module for the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// Content chunks the model wants to send.
    pub chunks: u64,
    /// The kind of text.
    pub output: Output,
    /// Wait before the response head.
    pub header_delay: Duration,
    /// Wait before the first content chunk.
    pub first_delay: Duration,
    /// Wait between content chunks.
    pub delay: Duration,
    /// All frames in one write.
    pub one_write: bool,
    /// Each frame in two writes.
    pub split: bool,
    /// Start the stream with a byte order mark.
    pub bom: bool,
    /// Lines end with CRLF.
    pub crlf: bool,
    /// A comment line before each frame.
    pub comments: bool,
    /// Never send usage.
    pub no_usage: bool,
    /// Never send `[DONE]`.
    pub no_done: bool,
    /// Prompt tokens that count as cache reads.
    pub cached: u64,
    /// Output tokens are billed times this over 100.
    pub overrun_percent: u64,
    /// Faults hit the first so many attempts only; `None` means all.
    pub fail_times: Option<u64>,
    /// The faults.
    pub fault: Fault,
}

/// What goes wrong. All absent means nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fault {
    /// Refuse with this HTTP status.
    pub status: Option<u16>,
    /// Tell the caller to wait.
    pub retry_after_ms: Option<u64>,
    /// The vendor's own verdict on retrying.
    pub should_retry: Option<bool>,
    /// A 429 that means "no money" instead of "too fast".
    pub quota: bool,
    /// Answer with a web page.
    pub html: bool,
    /// Close the connection after so many content chunks.
    pub cut_after: Option<u64>,
    /// Go silent after so many content chunks.
    pub stall_after: Option<u64>,
    /// Send an error event after so many content chunks.
    pub error_event_after: Option<u64>,
    /// Send a broken event after so many content chunks.
    pub malformed_after: Option<u64>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            chunks: 8,
            output: Output::Words,
            header_delay: Duration::ZERO,
            first_delay: Duration::ZERO,
            delay: Duration::ZERO,
            one_write: false,
            split: false,
            bom: false,
            crlf: false,
            comments: false,
            no_usage: false,
            no_done: false,
            cached: 0,
            overrun_percent: 100,
            fail_times: None,
            fault: Fault::default(),
        }
    }
}

/// A behaviour that cannot be read; the message names the pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("behaviour `{pair}`: {reason}")]
pub struct BehaviourError {
    pair: String,
    reason: &'static str,
}

impl Behaviour {
    /// Reads the pairs of the grammar, without the leading `fake:`. An empty text is the default.
    ///
    /// # Errors
    /// An unknown key, a missing or unreadable value, or a value beyond its bound.
    pub fn parse(pairs: &str) -> Result<Self, BehaviourError> {
        let mut behaviour = Self::default();
        for pair in pairs.split([',', ':']).map(str::trim).filter(|pair| !pair.is_empty()) {
            behaviour.apply(pair)?;
        }
        Ok(behaviour)
    }

    /// The behaviour `model` names: `None` if it names none (`fake` alone or a vendor's model).
    ///
    /// # Errors
    /// As [`Behaviour::parse`].
    pub fn of_model(model: &str) -> Result<Option<Self>, BehaviourError> {
        model.strip_prefix("fake:").map(Self::parse).transpose()
    }

    /// The same behaviour as attempt number `attempt` (from 1) sees it: without faults once
    /// `fail_times` are used up.
    #[must_use]
    pub fn for_attempt(mut self, attempt: u64) -> Self {
        if self.fail_times.is_some_and(|times| attempt > times) {
            self.fault = Fault::default();
        }
        self
    }

    /// The output tokens this behaviour bills for `sent` tokens.
    #[must_use]
    pub fn billed_tokens(&self, sent: u64) -> u64 {
        sent.saturating_mul(self.overrun_percent).div_ceil(100)
    }

    fn apply(&mut self, pair: &str) -> Result<(), BehaviourError> {
        let (key, value) = match pair.split_once(['=', '-']) {
            Some((key, value)) => (key, Some(value)),
            None => (pair, None),
        };
        let error = |reason| BehaviourError { pair: pair.to_owned(), reason };
        let number = |max: u64| {
            let text = value.ok_or_else(|| error("needs a number"))?;
            let number = text.parse::<u64>().map_err(|_| error("needs a number"))?;
            if number > max { Err(error("number too large")) } else { Ok(number) }
        };
        let delay = || number(DELAY_MAX_MS).map(Duration::from_millis);
        let flag = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(error("is a switch")),
        };
        match key {
            "chunks" => self.chunks = number(CHUNKS_MAX)?,
            "out" => {
                self.output = match value {
                    Some("words") => Output::Words,
                    Some("echo") => Output::Echo,
                    Some("unicode") => Output::Unicode,
                    Some("plain") => Output::Plain,
                    _ => return Err(error("is one of words, echo, unicode, plain")),
                }
            }
            "header_delay_ms" => self.header_delay = delay()?,
            "first_delay_ms" => self.first_delay = delay()?,
            "delay_ms" => self.delay = delay()?,
            "one_write" => self.one_write = flag()?,
            "split" => self.split = flag()?,
            "bom" => self.bom = flag()?,
            "crlf" => self.crlf = flag()?,
            "comments" => self.comments = flag()?,
            "no_usage" => self.no_usage = flag()?,
            "no_done" => self.no_done = flag()?,
            "cached" => self.cached = number(u64::from(u32::MAX))?,
            "overrun_percent" => self.overrun_percent = number(10_000)?,
            "fail_times" => self.fail_times = Some(number(1_000)?),
            "error_once" => {
                self.fault.status = Some(500);
                self.fail_times = Some(1);
            }
            "status" => {
                let status = number(599)?;
                if status < 400 {
                    return Err(error("is an error status, 400 to 599"));
                }
                self.fault.status = u16::try_from(status).ok();
            }
            "retry_after_ms" => self.fault.retry_after_ms = Some(number(DELAY_MAX_MS)?),
            "should_retry" => self.fault.should_retry = Some(flag()?),
            "quota" => self.fault.quota = flag()?,
            "html" => self.fault.html = flag()?,
            "cut_after" => self.fault.cut_after = Some(number(CHUNKS_MAX)?),
            "stall_after" => self.fault.stall_after = Some(number(CHUNKS_MAX)?),
            "error_event_after" => self.fault.error_event_after = Some(number(CHUNKS_MAX)?),
            "malformed_after" => self.fault.malformed_after = Some(number(CHUNKS_MAX)?),
            _ => return Err(error("unknown key")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let written =
            Behaviour::of_model("fake:chunks=200,delay_ms=5,cut_after=3,one_write").unwrap();
        let as_id =
            Behaviour::of_model("fake:chunks-200:delay_ms-5:cut_after-3:one_write").unwrap();
        let expected = Behaviour {
            chunks: 200,
            delay: Duration::from_millis(5),
            one_write: true,
            fault: Fault { cut_after: Some(3), ..Fault::default() },
            ..Behaviour::default()
        };
        assert_eq!(written, Some(expected));
        assert_eq!(as_id, written);
    }

    #[test]
    fn a_wrong_pair_is_named() {
        for (pairs, message) in [
            ("chunk=3", "behaviour `chunk=3`: unknown key"),
            ("chunks", "behaviour `chunks`: needs a number"),
            ("chunks=-1", "behaviour `chunks=-1`: needs a number"),
            ("status=200", "behaviour `status=200`: is an error status, 400 to 599"),
            ("delay_ms=600001", "behaviour `delay_ms=600001`: number too large"),
            ("no_done=maybe", "behaviour `no_done=maybe`: is a switch"),
        ] {
            assert_eq!(Behaviour::parse(pairs).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn faults_end_after_fail_times() {
        let behaviour = Behaviour::parse("status=503,fail_times=2,chunks=5").unwrap();
        let faults = [1, 2, 3].map(|attempt| behaviour.clone().for_attempt(attempt).fault.status);
        assert_eq!(faults, [Some(503), Some(503), None]);
    }

    #[test]
    fn overrun_rounds_up() {
        let behaviour = Behaviour::parse("overrun_percent=130").unwrap();
        assert_eq!([0, 1, 10, 11].map(|sent| behaviour.billed_tokens(sent)), [0, 2, 13, 15]);
    }
}
