//! The few words of MongoDB's wire protocol that setting up a replica set takes: commands as `OP_MSG`.
//!
//! No driver is linked for them. One connection a command; replies are read as far as the few fields that
//! are asked for. Not here: anything a store does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const OP_MSG: u32 = 2013;
/// Length, request id, response to, operation.
const HEADER_BYTES: usize = 16;
/// Flags and the kind of the one section.
const PREFIX_BYTES: usize = 5;
/// A loopback answer to these commands takes milliseconds; initiating a set some hundreds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// MongoDB's own limit of a message.
const MESSAGE_BYTES_MAX: usize = 48_000_000;

/// A value of a command.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(i32),
    Text(String),
    Document(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

/// What is read from a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) is_ok: bool,
    pub(crate) is_primary: bool,
    pub(crate) is_secondary: bool,
    pub(crate) message: Option<String>,
}

/// Runs a command on the database `admin`.
///
/// # Errors
/// No connection, no answer in time, or one that is not understood. A refusal is in the reply.
pub(crate) fn run(
    address: SocketAddr,
    mut command: Vec<(&'static str, Value)>,
) -> io::Result<Reply> {
    command.push(("$db", Value::Text("admin".to_owned())));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(&message(&command)?)?;
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let length = usize::try_from(u32::from_le_bytes(first(&header)?)).unwrap_or(usize::MAX);
    let body = length.checked_sub(HEADER_BYTES).filter(|body| *body <= MESSAGE_BYTES_MAX);
    let mut body = vec![0; body.ok_or_else(|| invalid("the length of the reply"))?];
    stream.read_exact(&mut body)?;
    reply(body.get(PREFIX_BYTES..).unwrap_or_default())
}

fn message(command: &[(&'static str, Value)]) -> io::Result<Vec<u8>> {
    let document = document(&named(command))?;
    let mut bytes = Vec::new();
    bytes.extend(length(HEADER_BYTES + PREFIX_BYTES + document.len())?);
    bytes.extend([1_u32, 0, OP_MSG, 0].into_iter().flat_map(u32::to_le_bytes));
    bytes.push(0);
    bytes.extend(document);
    Ok(bytes)
}

fn named<'a>(fields: &'a [(&'static str, Value)]) -> Vec<(&'a str, &'a Value)> {
    fields.iter().map(|(name, value)| (*name, value)).collect()
}

fn document(fields: &[(&str, &Value)]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    for (name, value) in fields {
        let (kind, bytes) = match value {
            Value::Int(number) => (0x10, number.to_le_bytes().to_vec()),
            Value::Text(text) => {
                let mut bytes = length(text.len() + 1)?.to_vec();
                bytes.extend(text.as_bytes());
                bytes.push(0);
                (0x02, bytes)
            }
            Value::Document(fields) => (0x03, document(&named(fields))?),
            Value::List(values) => {
                let names: Vec<String> = (0..values.len()).map(|index| index.to_string()).collect();
                let fields: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
                (0x04, document(&fields)?)
            }
        };
        content.push(kind);
        content.extend(name.as_bytes());
        content.push(0);
        content.extend(bytes);
    }
    let mut bytes = length(4 + content.len() + 1)?.to_vec();
    bytes.extend(content);
    bytes.push(0);
    Ok(bytes)
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    let bytes = u32::try_from(bytes).map_err(|_| invalid("a length"))?;
    Ok(bytes.to_le_bytes())
}

/// Reads the top level of a document; what is below is passed over by its length.
fn reply(document: &[u8]) -> io::Result<Reply> {
    let mut reply = Reply::default();
    let mut rest = document.get(4..).unwrap_or_default();
    while let Some((&kind, after)) = rest.split_first().filter(|(kind, _)| **kind != 0) {
        let end = after.iter().position(|byte| *byte == 0).ok_or_else(|| invalid("a name"))?;
        let (name, value) = after.split_at(end);
        let value = value.get(1..).unwrap_or_default();
        let size = size(kind, value)?;
        let (bytes, next) =
            value.split_at_checked(size).ok_or_else(|| invalid("a value is cut"))?;
        match (name, kind) {
            (b"ok", 0x01) => reply.is_ok = f64::from_le_bytes(first(bytes)?) > 0.5,
            (b"isWritablePrimary", 0x08) => reply.is_primary = bytes == [1],
            (b"secondary", 0x08) => reply.is_secondary = bytes == [1],
            (b"errmsg", 0x02) => {
                let text = bytes.get(4..size.saturating_sub(1)).unwrap_or_default();
                reply.message = Some(String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
        rest = next;
    }
    Ok(reply)
}

/// How long a value of this kind is.
fn size(kind: u8, value: &[u8]) -> io::Result<usize> {
    let prefixed = |more: usize| {
        let length = u32::from_le_bytes(first(value)?);
        let length = usize::try_from(length).map_err(|_| invalid("a length"))?;
        length.checked_add(more).ok_or_else(|| invalid("a length"))
    };
    match kind {
        0x01 | 0x09 | 0x11 | 0x12 => Ok(8),
        0x02 => prefixed(4),
        0x03 | 0x04 => prefixed(0),
        0x05 => prefixed(5),
        0x07 => Ok(12),
        0x08 => Ok(1),
        0x0A => Ok(0),
        0x10 => Ok(4),
        _ => Err(invalid("a kind of value")),
    }
}

fn first<const COUNT: usize>(bytes: &[u8]) -> io::Result<[u8; COUNT]> {
    bytes.first_chunk().copied().ok_or_else(|| invalid("the reply is cut"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not understood: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_byte_by_byte_as_the_protocol_says() {
        let command = [
            ("a", Value::Int(1)),
            ("l", Value::List(vec![Value::Text("x".to_owned())])),
            ("d", Value::Document(vec![])),
        ];
        let expected = b"\x3A\0\0\0\x01\0\0\0\0\0\0\0\xDD\x07\0\0\0\0\0\0\0\
            \x25\0\0\0\x10a\0\x01\0\0\0\x04l\0\x0E\0\0\0\x020\0\x02\0\0\0x\0\0\x03d\0\x05\0\0\0\0\0";
        assert_eq!(message(&command).unwrap(), expected);
    }

    #[test]
    fn a_reply_is_read_past_what_nobody_asked_for() {
        let bytes = b"....\x03d\0\x05\0\0\0\0\x08isWritablePrimary\0\x01\x09t\0\0\0\0\0\0\0\0\0\
            \x02errmsg\0\x03\0\0\0no\0\x01ok\0\0\0\0\0\0\0\xF0\x3F\0";
        let message = Some("no".to_owned());
        let read = Reply { is_ok: true, is_primary: true, is_secondary: false, message };
        assert_eq!(reply(bytes).unwrap(), read);
        assert_eq!(reply(b"....\0").unwrap(), Reply::default());
        assert!(reply(b"....\x02errmsg\0\xFF\0\0\0no\0").is_err());
        assert!(reply(b"....\x7Fx\0").is_err());
    }
}
