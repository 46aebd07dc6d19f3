//! A small reference service, written from the contract: real HTTP, chunks in memory, faults on
//! demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answer after this.
    Delay(Duration),
    /// This status, with a detail.
    Status(u16),
    /// This body instead, with status 200.
    Body(String),
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) user: Option<String>,
    pub(crate) body: String,
}

#[derive(Debug, Default)]
struct State {
    /// By file id: owner, name and text of each chunk.
    chunks: BTreeMap<String, Vec<(String, String, String)>>,
    faults: BTreeMap<String, Fault>,
    received: Vec<Received>,
    takes_objects_only: bool,
}

/// The running service; it ends with this value.
#[derive(Debug)]
pub(crate) struct Service {
    address: SocketAddr,
    secret: Option<&'static str>,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

impl Service {
    pub(crate) async fn start(secret: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state: Arc<Mutex<State>> = Arc::default();
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                connections.spawn(async move {
                    let answer =
                        service_fn(move |request| answer(request, Arc::clone(&state), secret));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer);
                    // A client that leaves is no error of the service.
                    let _ = connection.await;
                });
            }
        });
        Self { address, secret, state, _server: server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn secret(&self) -> Option<&'static str> {
        self.secret
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().expect("not poisoned"))
    }

    /// Stores a chunk as `/embed` would.
    pub(crate) fn chunk(&self, file: &str, owner: &str, text: &str) {
        let chunk = (owner.to_owned(), format!("{file}.pdf"), text.to_owned());
        self.with(|state| state.chunks.entry(file.to_owned()).or_default().push(chunk));
    }

    /// Whenever `place` (a path, or a path and a file id) is asked.
    pub(crate) fn fault(&self, place: &str, fault: Fault) {
        self.with(|state| state.faults.insert(place.to_owned(), fault));
    }

    pub(crate) fn take_objects_only(&self) {
        self.with(|state| state.takes_objects_only = true);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.with(|state| state.received.clone())
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
    secret: Option<&'static str>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
    let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let user = bearer
        .and_then(|bearer| bearer.strip_prefix("Bearer "))
        .and_then(|token| secret.and_then(|secret| user_of(token, secret)));
    let text = String::from_utf8_lossy(&body).into_owned();
    let asked =
        Received { method: method.clone(), path: path.clone(), user: user.clone(), body: text };
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let file = value["file_id"].as_str().map(str::to_owned);
    let fault = {
        let mut state = state.lock().expect("not poisoned");
        state.received.push(asked);
        let place = file.map(|file| format!("{path} {file}"));
        let fault = place.and_then(|place| state.faults.get(&place).cloned());
        fault.or_else(|| state.faults.get(&path).cloned())
    };
    match fault {
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Status(status)) => {
            return Ok(reply(status, &json!({"detail": "out of order"})));
        }
        Some(Fault::Body(body)) => return Ok(Response::new(Full::new(body.into()))),
        None => {}
    }
    if secret.is_some() && user.is_none() && path != "/health" {
        return Ok(reply(401, &json!({"detail": "Missing or invalid Authorization header"})));
    }
    let mut state = state.lock().expect("not poisoned");
    let (status, body) = state.work(&method, &path, user.as_deref(), &value, &body);
    Ok(reply(status, &body))
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    response
}

impl State {
    fn work(
        &mut self,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: &Value,
        bytes: &[u8],
    ) -> (u16, Value) {
        match (method, path) {
            ("GET", "/health") => (200, json!({"status": "UP"})),
            ("POST", "/query") => (200, self.query(user, body)),
            ("POST", "/embed") => self.embed(user, bytes),
            ("POST", "/text") => {
                let form = Form::read(bytes);
                (200, json!({"text": form.content, "file_id": form.file_id, "filename": form.name}))
            }
            ("DELETE", "/documents") => self.delete(body),
            ("GET", path) if path.starts_with("/documents/") => {
                let id = path.trim_start_matches("/documents/").trim_end_matches("/context");
                match self.chunks.get(id) {
                    Some(chunks) => {
                        let texts: Vec<&str> =
                            chunks.iter().map(|chunk| chunk.2.as_str()).collect();
                        (200, json!(texts.join("\n")))
                    }
                    None => (404, json!({"detail": "The specified file_id was not found"})),
                }
            }
            _ => (404, json!({"detail": "Not Found"})),
        }
    }

    /// Looks at the owner of the first hit only, as the real one does.
    fn query(&self, user: Option<&str>, body: &Value) -> Value {
        let file = body["file_id"].as_str().unwrap_or_default();
        let query = body["query"].as_str().unwrap_or_default().to_lowercase();
        let asking = body["entity_id"].as_str().or(user).unwrap_or("public");
        let shared = |text: &str| {
            let text = text.to_lowercase();
            let words = query.split_whitespace().filter(|word| text.contains(*word)).count();
            f64::from(u32::try_from(words).expect("few"))
        };
        let all = f64::from(u32::try_from(query.split_whitespace().count()).expect("few"));
        let mut hits: Vec<(f64, Value)> = self
            .chunks
            .get(file)
            .into_iter()
            .flatten()
            .map(|(owner, name, text)| {
                let distance = 1.0 - shared(text) / all.max(1.0);
                let metadata = json!({
                    "file_id": file, "user_id": owner, "source": format!("/uploads/{owner}/{name}"),
                    "digest": "d41d8cd98f00b204e9800998ecf8427e", "page": 2,
                });
                (distance, json!({"id": null, "metadata": metadata, "page_content": text, "type": "Document"}))
            })
            .collect();
        hits.sort_by(|left, right| left.0.total_cmp(&right.0));
        let k = usize::try_from(body["k"].as_u64().unwrap_or(4)).expect("small");
        let owner = hits.first().and_then(|(_, hit)| hit["metadata"]["user_id"].as_str());
        if owner.is_some_and(|owner| owner != asking && Some(owner) != user) {
            return json!([]);
        }
        hits.into_iter().take(k).map(|(distance, hit)| json!([hit, distance])).collect()
    }

    fn embed(&mut self, user: Option<&str>, bytes: &[u8]) -> (u16, Value) {
        let form = Form::read(bytes);
        if form.name.contains("..") {
            return (400, json!({"detail": "Invalid request"}));
        }
        let owner = form.entity_id.or(user.map(str::to_owned)).unwrap_or("public".to_owned());
        let chunk = (owner, form.name.clone(), form.content);
        self.chunks.entry(form.file_id.clone()).or_default().push(chunk);
        let report = json!({
            "status": true, "message": "File processed successfully.", "file_id": form.file_id,
            "filename": form.name, "known_type": true,
        });
        (200, report)
    }

    fn delete(&mut self, body: &Value) -> (u16, Value) {
        let ids = if self.takes_objects_only { &body["file_ids"] } else { body };
        let Some(ids) = ids.as_array() else {
            return (422, json!({"detail": [{"msg": "Input should be a valid dictionary"}]}));
        };
        let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
        let had_all = ids.iter().all(|id| self.chunks.contains_key(*id));
        for id in ids {
            self.chunks.remove(id);
        }
        match had_all {
            true => (200, json!({"message": "deleted"})),
            false => (404, json!({"detail": "One or more IDs not found"})),
        }
    }
}

/// The parts of an upload, read by their boundary.
#[derive(Debug, Default)]
struct Form {
    file_id: String,
    entity_id: Option<String>,
    name: String,
    content: String,
}

impl Form {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let boundary = text.lines().next().unwrap_or_default().to_owned();
        let mut form = Self::default();
        for part in text.split(&boundary).filter(|part| part.contains("form-data")) {
            let (head, content) = part.split_once("\r\n\r\n").expect("a head and a body");
            let content = content.trim_end_matches("\r\n").to_owned();
            let quoted = |key: &str| {
                let (_, rest) = head.split_once(&format!("{key}=\""))?;
                Some(rest.split('"').next()?.to_owned())
            };
            match quoted("; name").as_deref() {
                Some("file_id") => form.file_id = content,
                Some("entity_id") => form.entity_id = Some(content),
                Some("file") => {
                    form.name = quoted("filename").expect("a file name");
                    form.content = content;
                }
                other => panic!("an unknown field: {other:?}"),
            }
        }
        form
    }
}

/// The user of a token that is signed with `secret` and has an end in the future of 2023.
fn user_of(token: &str, secret: &str) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let part = |part: &str| -> Option<Value> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let claims = part(claims)?;
    let is_sound =
        part(header)?["alg"] == "HS256" && claims["exp"].as_i64()? - claims["iat"].as_i64()? == 300;
    is_sound.then(|| claims["id"].as_str().map(str::to_owned))?
}
