//! A provider that cannot be reached, refuses, or answers something else: said with its code, and
//! the message is kept.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::support::Home;

/// Answers every request with these bytes, then closes. Its thread ends with the test's process.
fn server(answer: &'static str) -> String {
    recording_server(answer).0
}

/// The same, and what was asked so far, in lower case.
fn recording_server(answer: &'static str) -> (String, Arc<Mutex<String>>) {
    let asked = Arc::new(Mutex::new(String::new()));
    let record = Arc::clone(&asked);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0_u8; 65_536];
            let mut read = 0;
            // Until the head and the body it announces are there.
            while !is_whole(&request[..read]) {
                match stream.read(&mut request[read..]) {
                    Ok(0) | Err(_) => break,
                    Ok(more) => read += more,
                }
            }
            let text = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
            record.lock().unwrap().push_str(&text);
            let _closed = stream.write_all(answer.as_bytes());
        }
    });
    (format!("http://{address}/v1"), asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or_default()
}

fn home(base_url: String) -> Home {
    Home::without_model().with("OPENAI_API_KEY", "sk-hunter2").with("OPENAI_BASE_URL", base_url)
}

fn refuses_and_keeps_the_message(home: &Home, code: &str) {
    let failed = home.run(&["send", "hello"]);
    // The status line stands before the error.
    failed.is_failure(5, code);
    assert!(!failed.stderr.contains("hunter2"), "{failed:?}");
    let shown = home.ok(&["show", &home.conversation()]);
    assert!(shown.contains("hello"), "{shown}");
    home.ok(&["audit"]);
}

#[test]
fn a_server_that_is_not_there() {
    // Bound once, so that nobody else has it, and closed again.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = home(format!("http://127.0.0.1:{port}/v1"));
    refuses_and_keeps_the_message(&home, "provider_unavailable");
}

#[test]
fn a_server_that_answers_html() {
    let home = home(server(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\n\
         <html>hi</html>",
    ));
    refuses_and_keeps_the_message(&home, "provider_protocol");
}

#[test]
fn a_key_that_is_wrong() {
    let home = home(server(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 37\r\n\
         connection: close\r\n\r\n{\"error\":{\"message\":\"Incorrect key\"}}",
    ));
    refuses_and_keeps_the_message(&home, "provider_unauthorized");
}

#[test]
fn a_model_without_a_price_is_refused_and_told_how_to_get_one() {
    let home = home("http://127.0.0.1:1/v1".to_owned());
    let refused = home.run(&["send", "--model", "openai/no-such-model-1", "hello"]);
    refused.is_failure(4, "unknown_price");
    assert!(refused.stderr.contains("--prices"), "{refused:?}");
}

#[test]
fn the_key_of_openai_goes_to_no_other_server() {
    const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\
                           content-length: 2\r\nconnection: close\r\n\r\n{}";
    let (other, asked_other) = recording_server(REFUSED);
    let (openai, asked_openai) = recording_server(REFUSED);
    let home = home(openai);
    let prices = home.path("prices.toml");
    let book = "book = \"t\"\n[[price]]\nmodel = \"home/*\"\nvalid_from = 2020-01-01\n\
                input = \"0\"\noutput = \"0\"\n";
    std::fs::write(&prices, book).unwrap();
    home.configure(&format!(
        "prices = \"{}\"\n[providers.home]\nkind = \"openai\"\nbase_url = \"{other}\"\n",
        prices.display()
    ));
    for (model, asked, has_key) in
        [("home/any", asked_other, false), ("openai/gpt-4o-mini", asked_openai, true)]
    {
        let refused = home.run(&["send", "--model", model, "hello"]);
        assert_eq!(refused.code, 5, "{refused:?}");
        let asked = asked.lock().unwrap();
        assert!(asked.contains("post /v1/chat/completions"), "{asked}");
        assert_eq!(asked.contains("authorization: bearer sk-hunter2"), has_key, "{model}");
    }
}
