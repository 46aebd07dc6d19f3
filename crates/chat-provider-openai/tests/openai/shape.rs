//! Chunks that differ in their text alone are not parsed again, and nobody can tell.

use chat_provider::{ProviderErrorKind, ProviderEvent};

use crate::support::{DONE, call, finish, sse};

/// Everything a chunk may say beside, around or instead of one plain text.
const SAYINGS: [&str; 25] = [
    r#""choices":[{"index":0,"delta":{"content":"a"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"é😀 b"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":""}}]"#,
    r#""choices":[{"index":0,"delta":{"content":null}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"\""}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a\\"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"\u00e9\n"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a","refusal":"b"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a","content":"b"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]"#,
    r#""choices":[{"index":1,"delta":{"content":"a"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a"}},{"index":0,"delta":{"content":"b"}}]"#,
    r#""choices":[{"index":0,"message":{"content":"a"}}]"#,
    r#""choices":[{"index":0,"delta":{"refusal":"a"}}]"#,
    r#""choices":[{"index":0,"delta":{"reasoning_content":"a"}}]"#,
    r#""choices":[{"index":0,"delta":{"reasoning":"b"}}]"#,
    r#""choices":[{"index":0,"delta":{"reasoning":"b","reasoning_content":"b"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"","reasoning":"b"}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a","reasoning_details":[{"data":"s"}]}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a","tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}}]"#,
    r#""choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}"#,
    r#""choices":[{"index":0,"delta":{"content":"a"}}],"error":{"message":"a"}"#,
    // A line feed cannot stand inside data; a tab can, and is no JSON.
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\t\"}}]",
    r#""choices":[]"#,
];

/// What the chunks tell, the last text of each kind in one piece, and how it failed.
async fn told(
    sayings: &[&str],
    created: impl Fn(usize) -> usize,
) -> (Vec<ProviderEvent>, Option<ProviderErrorKind>) {
    let mut body: String = sayings
        .iter()
        .enumerate()
        .map(|(at, saying)| format!("data: {{\"created\":{},{saying}}}\n\n", created(at)))
        .collect();
    body.push_str(&finish("stop"));
    body.push_str(DONE);
    let outcome = call(vec![sse(body)]).await;
    (outcome.events(), outcome.error.map(|error| error.kind()))
}

#[tokio::test(start_paused = true)]
async fn chunks_alike_tell_the_same_as_chunks_that_all_differ() {
    let plain = SAYINGS[0];
    for first in SAYINGS {
        for second in SAYINGS {
            let sayings = [plain, first, second, first, plain];
            let alike = told(&sayings, |_| 0).await;
            let differing = told(&sayings, |at| at).await;
            assert_eq!(alike, differing, "{sayings:?}");
        }
    }
}
