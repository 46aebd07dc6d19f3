//! What is sent: stable bytes, the permit's cap, and nothing the dialect cannot say.

use std::sync::Arc;

use chat_provider::{Media, ModelProvider, ModelRequest, ProviderErrorKind};
use chat_provider_openai::{CapField, ModelOverride, OpenAiConfig, OpenAiProvider};
use chat_tokens::{EstimateCounter, TokenCounter};
use chat_transport::ScriptedTransport;
use chat_types::{
    CacheStyle, ContentPart, FileId, ModelOptions, Opaque, Origin, PromptItem, Role, Section,
    Tokens, ToolSpec,
};

use crate::support::{
    WatchingGate, call_with, hi, item, local_config, openai_config, request, status,
};

fn body_of(config: OpenAiConfig, request: &ModelRequest) -> Result<String, ProviderErrorKind> {
    let provider = OpenAiProvider::new(config, Arc::new(ScriptedTransport::new([]))).unwrap();
    let prepared = provider.prepare(request).map_err(|error| error.kind())?;
    assert_eq!(prepared, provider.prepare(request).unwrap(), "the same bytes");
    Ok(String::from_utf8(prepared.body).unwrap())
}

/// The `messages` of the body for these items.
fn messages(config: OpenAiConfig, items: Vec<PromptItem>) -> String {
    let name = config.default_model.as_str().to_owned();
    messages_of(config, &request(&name, items))
}

fn messages_of(config: OpenAiConfig, request: &ModelRequest) -> String {
    let body = body_of(config, request).unwrap();
    let from = body.find("\"messages\":").unwrap() + "\"messages\":".len();
    let to = body.find(",\"stream\":").unwrap();
    body[from..to].to_owned()
}

fn said(role: Role, text: &str) -> PromptItem {
    item(Section::History, role, vec![ContentPart::text(text)])
}

fn tool_call(call_id: &str) -> ContentPart {
    ContentPart::ToolCall {
        call_id: call_id.to_owned(),
        name: "clock".to_owned(),
        arguments: "{\"zone\":\"UTC\"}".to_owned(),
    }
}

fn tool_result(call_id: &str, text: &str) -> ContentPart {
    ContentPart::ToolResult { call_id: call_id.to_owned(), text: text.to_owned(), is_error: false }
}

fn reasoning(model: &str, api: &str) -> ContentPart {
    ContentPart::Reasoning {
        text: "private".to_owned(),
        opaque: Some(Opaque {
            origin: Origin { model: model.parse().unwrap(), api: api.to_owned() },
            data: "[{\"data\":\"c2Vh\"}]".to_owned(),
        }),
    }
}

#[test]
fn the_whole_body_without_its_cap() {
    let mut request = request(
        "gpt-4o-mini",
        vec![said(Role::System, "Be kind."), said(Role::User, "Grüß \"Gott\"\n")],
    );
    request.options = ModelOptions {
        temperature: Some(0.5),
        top_p: Some(1.0),
        output_tokens_max: Some(Tokens::new(7)),
        stop: vec!["END".to_owned()],
        seed: Some(3),
        reasoning_effort: Some("low".to_owned()),
    };
    request.prompt.tools.push(ToolSpec {
        name: "clock".to_owned(),
        description: "Tells the time.".to_owned(),
        parameters: "{\"type\": \"object\"}".to_owned(),
    });
    assert_eq!(
        body_of(openai_config(), &request).unwrap(),
        concat!(
            r#"{"model":"gpt-4o-mini","messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Grüß \"Gott\"\n"}],"#,
            r#""tools":[{"type":"function","function":{"name":"clock","description":"Tells the time.","parameters":{"type": "object"}}}],"#,
            r#""temperature":0.5,"top_p":1.0,"stop":["END"],"seed":3,"reasoning_effort":"low","stream":true,"stream_options":{"include_usage":true}}"#
        )
    );
    request.stream = false;
    let body = body_of(openai_config(), &request).unwrap();
    assert!(body.ends_with(r#""stream":false}"#), "{body}");
}

#[tokio::test]
async fn the_cap_on_the_wire_is_the_permits_and_comes_last() {
    let cases = [
        (openai_config(), "gpt-4o-mini", "max_completion_tokens"),
        (local_config(), "smollm2", "max_tokens"),
        (
            OpenAiConfig { cap_field: Some(CapField::MaxCompletionTokens), ..local_config() },
            "smollm2",
            "max_completion_tokens",
        ),
    ];
    for (config, name, field) in cases {
        let mut request = hi(name);
        request.options.output_tokens_max = Some(Tokens::new(9_999));
        let expected = body_of(config.clone(), &request).unwrap();
        let expected = format!("{},\"{field}\":64}}", expected.strip_suffix('}').unwrap());
        let gate = WatchingGate::default();
        let outcome = call_with(config.clone(), &request, gate, vec![status(400, "{}")]).await;
        let sent = &outcome.transport.requests()[0];
        assert_eq!(String::from_utf8(sent.body.to_vec()).unwrap(), expected);
        assert!(sent.url.ends_with("/v1/chat/completions"), "{}", sent.url);
        assert_eq!(sent.headers["accept"], "text/event-stream");
        request.stream = false;
        let gate = WatchingGate::default();
        let outcome = call_with(config, &request, gate, vec![status(400, "{}")]).await;
        let sent = &outcome.transport.requests()[0];
        let tail = format!("\"stream\":false,\"{field}\":64}}");
        assert!(String::from_utf8(sent.body.to_vec()).unwrap().ends_with(&tail));
        assert_eq!(sent.headers["accept"], "application/json");
    }
}

#[test]
fn reasoning_models_of_openai_take_a_developer() {
    let items = || vec![said(Role::System, "x")];
    let config =
        |name: &str| OpenAiConfig { default_model: crate::support::model(name), ..openai_config() };
    for name in ["gpt-5-mini", "o3", "o4-mini"] {
        let sent = messages(config(name), items());
        assert_eq!(sent, r#"[{"role":"developer","content":"x"}]"#, "{name}");
    }
    let system = r#"[{"role":"system","content":"x"}]"#;
    assert_eq!(messages(config("gpt-4.1"), items()), system);
    assert_eq!(messages(local_config(), items()), system);
}

#[test]
fn tool_traffic_is_told_call_by_call() {
    let call = |id: &str| {
        format!(
            r#"{{"id":"{id}","type":"function","function":{{"name":"clock","arguments":"{{\"zone\":\"UTC\"}}"}}}}"#
        )
    };
    let (a, b) = (call("a"), call("b"));
    let split = vec![
        item(
            Section::History,
            Role::Assistant,
            vec![ContentPart::text("Let me see."), tool_call("a"), tool_call("b")],
        ),
        item(Section::History, Role::Tool, vec![tool_result("a", "noon"), tool_result("b", "one")]),
    ];
    assert_eq!(
        messages(local_config(), split),
        format!(
            r#"[{{"role":"assistant","content":"Let me see.","tool_calls":[{a},{b}]}},{{"role":"tool","content":"noon","tool_call_id":"a"}},{{"role":"tool","content":"one","tool_call_id":"b"}}]"#
        )
    );
    let in_one = vec![item(
        Section::History,
        Role::Assistant,
        vec![tool_call("a"), tool_result("a", "noon"), ContentPart::text("It is noon.")],
    )];
    assert_eq!(
        messages(local_config(), in_one),
        format!(
            r#"[{{"role":"assistant","content":null,"tool_calls":[{a}]}},{{"role":"tool","content":"noon","tool_call_id":"a"}},{{"role":"assistant","content":"It is noon."}}]"#
        )
    );
}

#[test]
fn sealed_reasoning_goes_back_to_its_origin_only() {
    let item_of = |part: ContentPart| {
        vec![item(
            Section::History,
            Role::Assistant,
            vec![part, ContentPart::text("Yes"), ContentPart::text(".")],
        )]
    };
    let back = reasoning("local/smollm2", "chat_completions");
    assert_eq!(
        messages(local_config(), item_of(back)),
        r#"[{"role":"assistant","content":"Yes.","reasoning_details":[{"data":"c2Vh"}]}]"#
    );
    let foreign = [
        reasoning("local/other", "chat_completions"),
        reasoning("openai/smollm2", "chat_completions"),
        reasoning("local/smollm2", "messages"),
        ContentPart::Reasoning { text: "private".to_owned(), opaque: None },
    ];
    for part in foreign {
        assert_eq!(
            messages(local_config(), item_of(part)),
            r#"[{"role":"assistant","content":"Yes."}]"#
        );
    }
}

#[test]
fn pictures_and_files_are_refused_where_they_are_new_and_labelled_where_they_are_old() {
    let image = ContentPart::Image {
        file: FileId::new("f1").unwrap(),
        media_type: "image/png".to_owned(),
        width_px: None,
        height_px: None,
    };
    let file = ContentPart::File {
        file: FileId::new("f2").unwrap(),
        name: "notes.txt".to_owned(),
        media_type: "text/plain".to_owned(),
    };
    for part in [image.clone(), file.clone()] {
        let new = request("smollm2", vec![item(Section::User, Role::User, vec![part])]);
        assert_eq!(body_of(local_config(), &new), Err(ProviderErrorKind::InvalidRequest));
    }
    let old = vec![item(Section::History, Role::User, vec![image, file])];
    assert_eq!(
        messages(local_config(), old),
        r#"[{"role":"user","content":"[image][file notes.txt]"}]"#
    );
}

#[test]
fn files_whose_bytes_go_along_become_parts_and_text_stays_a_string_without_them() {
    let (picture, paper) = (FileId::new("f1").unwrap(), FileId::new("f2").unwrap());
    let parts = vec![
        ContentPart::text("what is this?"),
        ContentPart::Image {
            file: picture.clone(),
            media_type: "image/png".to_owned(),
            width_px: Some(2),
            height_px: Some(2),
        },
        ContentPart::File {
            file: paper.clone(),
            name: "paper.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
        },
    ];
    let media = |file: FileId, media_type: &str, bytes: &[u8]| Media {
        file,
        media_type: media_type.to_owned(),
        bytes: bytes.into(),
    };
    let mut request = request("smollm2", vec![item(Section::User, Role::User, parts)]);
    request.media =
        vec![media(picture, "image/jpeg", b"jpeg"), media(paper, "application/pdf", b"%PDF")];
    assert_eq!(
        messages_of(local_config(), &request),
        concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"what is this?"},"#,
            r#"{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,anBlZw=="}},"#,
            r#"{"type":"file","file":{"filename":"paper.pdf","#,
            r#""file_data":"data:application/pdf;base64,JVBERg=="}}]}]"#,
        )
    );
    let provider = OpenAiProvider::new(local_config(), Arc::new(ScriptedTransport::new([])));
    let prepared = provider.unwrap().prepare(&request).unwrap();
    assert_eq!(prepared.images, 1, "images are charged by the piece where the book says so");
    let text = Tokens::from_len(prepared.body.len() - 16);
    assert!(prepared.input_bound <= text, "files are no text: {}", prepared.input_bound);
}

#[test]
fn cache_marks_are_written_for_models_that_cache_at_marks_and_for_no_others() {
    let marked = PromptItem {
        cache_mark: true,
        ..item(Section::Instructions, Role::System, vec![ContentPart::text("Be brief.")])
    };
    let hello = item(Section::User, Role::User, vec![ContentPart::text("hi")]);
    let plain = r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]"#;
    let items = vec![marked, hello];
    assert_eq!(messages(local_config(), items.clone()), plain);
    let mut config = local_config();
    let known = ModelOverride { cache: Some(CacheStyle::Marked), ..ModelOverride::default() };
    config.models.insert("smollm2".to_owned(), known);
    assert_eq!(
        messages(config, items),
        concat!(
            r#"[{"role":"system","content":[{"type":"text","text":"Be brief.","#,
            r#""cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"hi"}]"#,
        )
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |change: fn(&mut ModelRequest)| {
        let mut request = hi("smollm2");
        change(&mut request);
        assert_eq!(body_of(local_config(), &request), Err(ProviderErrorKind::InvalidRequest));
    };
    refused(|request| request.options.temperature = Some(f64::NAN));
    refused(|request| request.options.temperature = Some(2.1));
    refused(|request| request.options.top_p = Some(-0.1));
    refused(|request| {
        request.prompt.tools.push(ToolSpec {
            name: "t".to_owned(),
            description: String::new(),
            parameters: "{".to_owned(),
        });
    });
    refused(|request| request.prompt.items.push(said(Role::Tool, "no result")));
}

#[test]
fn the_input_bound_is_never_above_the_bytes() {
    let provider =
        OpenAiProvider::new(local_config(), Arc::new(ScriptedTransport::new([]))).unwrap();
    let prepared = provider.prepare(&hi("smollm2")).unwrap();
    assert_eq!(prepared.input_estimate, Tokens::new(9));
    assert_eq!(prepared.input_bound, Tokens::from_len(prepared.body.len()));
    let provider =
        OpenAiProvider::new(openai_config(), Arc::new(ScriptedTransport::new([]))).unwrap();
    let prepared = provider.prepare(&hi("gpt-4o-mini")).unwrap();
    assert_eq!(prepared.input_bound, Tokens::new(10 + 64));
}

/// Random letters are far more tokens than a guess from ordinary text makes of them.
#[test]
fn dense_text_in_an_unknown_vocabulary_is_bound_by_its_bytes() {
    let provider =
        OpenAiProvider::new(local_config(), Arc::new(ScriptedTransport::new([]))).unwrap();
    let dense = "qZxJvKwQ".repeat(500);
    let mut request = hi("smollm2");
    request.prompt.items[0].parts = vec![ContentPart::Text { text: dense.clone() }];
    request.input_tokens = EstimateCounter::new().count_text(&dense);
    let prepared = provider.prepare(&request).unwrap();
    assert!(prepared.input_bound >= Tokens::from_len(dense.len()), "{}", prepared.input_bound);
    assert_eq!(prepared.input_estimate, request.input_tokens);
}
