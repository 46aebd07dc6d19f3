//! Paces one reply onto the socket and tells the ledger what left.
//!
//! The body is polled by the connection: a frame is handed over, then one poll answers "not yet" so that
//! the connection writes it out before the next. Dropping the body (the client is gone, or the connection
//! failed) drops its receipt, which closes the request as disconnected with what was handed over.
//! Not here: the frames' JSON (`wire`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

use super::behaviour::Behaviour;
use super::ledger::{Outcome, Receipt};
use super::wire::{self, CompletionRequest, Frames};

/// How long a frame gets to leave before the connection is cut on purpose.
const CUT_DELAY: Duration = Duration::from_millis(5);

/// What happens next in a reply.
#[derive(Debug)]
pub(crate) enum Step {
    /// Hand these bytes over; `chunks` content chunks are in them.
    Frame { bytes: Bytes, chunks: u64 },
    /// Wait.
    Sleep(Duration),
    /// Send nothing more, ever.
    Stall,
    /// Close the connection.
    Cut,
    /// The next frame is the last one, and this is how the request ends with it.
    Ending(Outcome),
}

/// A response body: fixed bytes, or a reply with its receipt.
pub(crate) struct ReplyBody {
    steps: Box<dyn Iterator<Item = Step> + Send>,
    size: Option<u64>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    flush_first: bool,
    flush_each: bool,
    stalled: bool,
    ending: Option<Outcome>,
    receipt: Option<Receipt>,
}

/// The connection is closed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
pub(crate) struct CutOnPurpose;

impl fmt::Debug for ReplyBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReplyBody").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

impl ReplyBody {
    /// A body of known size that belongs to no receipt, or to one that is closed already.
    pub(crate) fn fixed(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let size = u64::try_from(bytes.len()).ok();
        let step = Step::Frame { bytes, chunks: 0 };
        Self { size, ..Self::new(Box::new(std::iter::once(step)), None, false) }
    }

    /// The body of a streamed reply.
    pub(crate) fn stream(
        request: &CompletionRequest,
        behaviour: &Behaviour,
        receipt: Receipt,
    ) -> Self {
        let steps = stream_steps(request, behaviour, &receipt);
        let framing = Framing::of(behaviour);
        let steps: Box<dyn Iterator<Item = Step> + Send> = if behaviour.one_write {
            Box::new(join_frames(steps.map(move |step| framing.apply(step))))
        } else if behaviour.split {
            Box::new(steps.map(move |step| framing.apply(step)).flat_map(split_frame))
        } else {
            Box::new(steps.map(move |step| framing.apply(step)))
        };
        let steps: Box<dyn Iterator<Item = Step> + Send> = if behaviour.bom {
            let bom = Step::Frame { bytes: Bytes::from_static(b"\xEF\xBB\xBF"), chunks: 0 };
            Box::new(std::iter::once(bom).chain(steps))
        } else {
            steps
        };
        Self::new(steps, Some(receipt), true)
    }

    /// The body of a reply in one piece, after any wait was waited.
    pub(crate) fn whole(
        request: &CompletionRequest,
        behaviour: &Behaviour,
        receipt: Receipt,
    ) -> Self {
        let shape = Shape::of(request, behaviour);
        let usage = shape.usage(request, behaviour);
        let echo = request.echo_words();
        let text: String = (0..shape.chunks)
            .map(|index| wire::chunk_text(behaviour.output, &echo, index))
            .collect();
        let frames = Frames::new(receipt.id(), &request.model, false);
        let usage = (!behaviour.no_usage).then_some(&usage);
        let bytes = Bytes::from(frames.whole(&text, shape.finish_reason, usage));
        let size = u64::try_from(bytes.len()).ok();
        if let Some(chunks) = behaviour.fault.cut_after {
            let half = bytes.slice(..bytes.len() / 2);
            let steps = [
                Step::Frame { bytes: half, chunks: chunks.min(shape.chunks) },
                Step::Sleep(CUT_DELAY),
                Step::Cut,
            ];
            return Self { size, ..Self::new(Box::new(steps.into_iter()), Some(receipt), true) };
        }
        let steps = [Step::Ending(Outcome::Finished), Step::Frame { bytes, chunks: shape.chunks }];
        Self { size, ..Self::new(Box::new(steps.into_iter()), Some(receipt), false) }
    }

    fn new(
        steps: Box<dyn Iterator<Item = Step> + Send>,
        receipt: Option<Receipt>,
        flush_each: bool,
    ) -> Self {
        Self {
            steps,
            size: None,
            sleep: None,
            flush_first: false,
            flush_each,
            stalled: false,
            ending: None,
            receipt,
        }
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some(receipt) = self.receipt.as_mut() {
            receipt.close(outcome);
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = CutOnPurpose;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOnPurpose>>> {
        let body = &mut *self;
        if body.stalled {
            return Poll::Pending;
        }
        if std::mem::take(&mut body.flush_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(sleep) = body.sleep.as_mut() {
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                body.sleep = None;
            }
            match body.steps.next() {
                Some(Step::Frame { bytes, chunks }) => {
                    if let Some(receipt) = body.receipt.as_mut() {
                        receipt.add_sent(chunks);
                    }
                    if let Some(outcome) = body.ending.take() {
                        body.close(outcome);
                    }
                    body.flush_first = body.flush_each;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Sleep(duration)) if duration.is_zero() => {}
                Some(Step::Sleep(duration)) => {
                    body.sleep = Some(Box::pin(tokio::time::sleep(duration)));
                }
                Some(Step::Stall) => {
                    body.stalled = true;
                    return Poll::Pending;
                }
                Some(Step::Cut) => {
                    body.close(Outcome::Cut);
                    return Poll::Ready(Some(Err(CutOnPurpose)));
                }
                Some(Step::Ending(outcome)) => body.ending = Some(outcome),
                None => {
                    body.close(Outcome::Finished);
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// How long a reply is and why it ends there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) chunks: u64,
    pub(crate) finish_reason: &'static str,
}

impl Shape {
    pub(crate) fn of(request: &CompletionRequest, behaviour: &Behaviour) -> Self {
        match request.cap() {
            Some(cap) if cap < behaviour.chunks => Self { chunks: cap, finish_reason: "length" },
            _ => Self { chunks: behaviour.chunks, finish_reason: "stop" },
        }
    }

    fn usage(self, request: &CompletionRequest, behaviour: &Behaviour) -> serde_json::Value {
        let prompt = request.tokens_prompt(behaviour.output);
        wire::usage(prompt, behaviour.cached.min(prompt), behaviour.billed_tokens(self.chunks))
    }
}

fn stream_steps(
    request: &CompletionRequest,
    behaviour: &Behaviour,
    receipt: &Receipt,
) -> impl Iterator<Item = Step> + Send + use<> {
    let shape = Shape::of(request, behaviour);
    let with_usage = request.wants_usage() && !behaviour.no_usage;
    let frames = Frames::new(receipt.id(), &request.model, with_usage);
    let mut tail = vec![frames.finish(shape.finish_reason)];
    if with_usage {
        tail.push(frames.usage(&shape.usage(request, behaviour)));
    }
    if !behaviour.no_done {
        tail.push("[DONE]".to_owned());
    }
    let last = tail.pop().unwrap_or_default();
    let tail = tail.into_iter().map(event).chain([Step::Ending(Outcome::Finished), event(last)]);

    let echo = request.echo_words();
    let behaviour = behaviour.clone();
    let role = event(frames.role());
    let content = (0..=shape.chunks).flat_map(move |index| {
        let mut steps = Vec::with_capacity(2);
        let at = |place: Option<u64>| place == Some(index);
        if at(behaviour.fault.malformed_after) {
            steps.push(event(r#"{"id":"chatcmpl-broken","choices":[{"delta":{"conte"#.to_owned()));
        }
        if at(behaviour.fault.cut_after) {
            steps.extend([Step::Sleep(CUT_DELAY), Step::Cut]);
        } else if at(behaviour.fault.stall_after) {
            steps.push(Step::Stall);
        } else if at(behaviour.fault.error_event_after) {
            let error = wire::error_body("the model is overloaded", "server_error", "overloaded");
            steps.extend([Step::Ending(Outcome::Error), event(error), Step::Cut]);
        } else if index < shape.chunks {
            let wait = if index == 0 { behaviour.first_delay } else { behaviour.delay };
            let text = wire::chunk_text(behaviour.output, &echo, index);
            steps.push(Step::Sleep(wait));
            steps.push(with_chunks(event(frames.content(&text)), 1));
        }
        steps
    });
    end_after_error(std::iter::once(role).chain(content).chain(tail))
}

/// An error event ends the body normally: the `Cut` behind it only marks where.
fn end_after_error(steps: impl Iterator<Item = Step> + Send) -> impl Iterator<Item = Step> + Send {
    let mut failed = false;
    steps.map_while(move |step| {
        if matches!(step, Step::Ending(Outcome::Error)) {
            failed = true;
        }
        if failed && matches!(step, Step::Cut) { None } else { Some(step) }
    })
}

fn event(data: String) -> Step {
    Step::Frame { bytes: Bytes::from(data), chunks: 0 }
}

fn with_chunks(step: Step, chunks: u64) -> Step {
    match step {
        Step::Frame { bytes, chunks: _ } => Step::Frame { bytes, chunks },
        other => other,
    }
}

/// How an event's JSON becomes lines.
#[derive(Debug, Clone, Copy)]
struct Framing {
    prefix: &'static [u8],
    end: &'static [u8],
}

impl Framing {
    fn of(behaviour: &Behaviour) -> Self {
        let (prefix, end): (&[u8], &[u8]) = match (behaviour.comments, behaviour.crlf) {
            (false, false) => (b"data: ", b"\n\n"),
            (false, true) => (b"data: ", b"\r\n\r\n"),
            (true, false) => (b": ping\n\ndata: ", b"\n\n"),
            (true, true) => (b": ping\r\n\r\ndata: ", b"\r\n\r\n"),
        };
        Self { prefix, end }
    }

    fn apply(self, step: Step) -> Step {
        match step {
            Step::Frame { bytes, chunks } => {
                let mut framed =
                    BytesMut::with_capacity(self.prefix.len() + bytes.len() + self.end.len());
                framed.extend_from_slice(self.prefix);
                framed.extend_from_slice(&bytes);
                framed.extend_from_slice(self.end);
                Step::Frame { bytes: framed.freeze(), chunks }
            }
            other => other,
        }
    }
}

fn split_frame(step: Step) -> Vec<Step> {
    match step {
        Step::Frame { mut bytes, chunks } => {
            let second = bytes.split_off(bytes.len() / 2);
            vec![Step::Frame { bytes, chunks: 0 }, Step::Frame { bytes: second, chunks }]
        }
        other => vec![other],
    }
}

/// Joins neighbouring frames; waits of zero vanish, anything else stays where it was.
fn join_frames(steps: impl Iterator<Item = Step>) -> impl Iterator<Item = Step> {
    let mut joined = Vec::new();
    let mut buffer = BytesMut::new();
    let mut buffered_chunks = 0;
    let mut ending = None;
    for step in steps {
        match step {
            Step::Frame { bytes, chunks } => {
                buffer.extend_from_slice(&bytes);
                buffered_chunks += chunks;
            }
            Step::Sleep(duration) if duration.is_zero() => {}
            Step::Ending(outcome) => ending = Some(outcome),
            other => {
                let chunks = std::mem::take(&mut buffered_chunks);
                joined.push(Step::Frame { bytes: buffer.split().freeze(), chunks });
                joined.push(other);
            }
        }
    }
    joined.extend(ending.map(Step::Ending));
    joined.push(Step::Frame { bytes: buffer.freeze(), chunks: buffered_chunks });
    joined.into_iter()
}
