//! A policy is data, and a wrong one is refused with what is wrong.

use chat_truncation::{
    InstructionsPlacement, MaskToolResults, RUNGS_MAX, Rung, TruncationPolicy, WindowStart,
};
use chat_types::Tokens;

use crate::fixture::policy;

const EVERY_KEY: &str = r#"
strategy = "recent_window"
instructions = "before_last"
start = "user"
pinned_percent = 20

[[rungs]]
kind = "mask_tool_results"
keep_recent_turns = 3
chars_max = 400
head_percent = 60
starts_at_percent = 80

[[rungs]]
kind = "cap_messages"
tokens_max = 4000
share_percent = 30
head_percent = 50
starts_at_percent = 90

[[rungs]]
kind = "summarise"
at_percent = 85
keep_percent = 30
model = "local/smollm2"

[[rungs]]
kind = "middle_out"
keep_first_turns = 2
first_percent = 10
block_percent = 25

[[rungs]]
kind = "recent_window"
"#;

#[test]
fn every_key_of_every_rung_is_read_and_written_back() {
    let read = policy(EVERY_KEY);
    assert_eq!(read.instructions, InstructionsPlacement::BeforeLast);
    assert_eq!(read.start, WindowStart::User);
    assert_eq!(read.pinned_percent(), 20);
    assert_eq!(read.first_turns(), 2);
    let kinds: Vec<&str> = read.rungs().iter().map(Rung::kind).collect();
    assert_eq!(
        kinds,
        ["mask_tool_results", "cap_messages", "summarise", "middle_out", "recent_window"]
    );
    let Some(Rung::CapMessages(cap)) = read.rungs().get(1) else {
        panic!("{read:?}");
    };
    assert_eq!((cap.tokens_max, cap.share_percent), (Some(Tokens::new(4_000)), 30));
    let json = serde_json::to_string(&read).expect("json");
    assert_eq!(serde_json::from_str::<TruncationPolicy>(&json).expect("reads itself"), read);
    let toml = toml::to_string(&read).expect("toml");
    assert_eq!(policy(&toml), read);
}

#[test]
fn every_key_has_a_default() {
    let read = policy(
        r#"rungs = [{ kind = "mask_tool_results" }, { kind = "cap_messages" },
        { kind = "summarise" }, { kind = "drop_blocks" }, { kind = "recent_window" }]"#,
    );
    assert_eq!(read.rungs().first(), Some(&Rung::MaskToolResults(MaskToolResults::default())));
    assert_eq!(read.rungs().len(), 5);
    assert_eq!(policy(r#"rungs = [{ kind = "middle_out" }]"#).first_turns(), 1);
    assert_eq!(policy(""), TruncationPolicy::recent_window());
}

fn check_refused(text: &str, said: &[&str]) {
    let error = toml::from_str::<TruncationPolicy>(text).expect_err(text).to_string();
    for said in said {
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn unknown_keys_and_kinds_are_refused_by_name() {
    for (text, said) in [
        (r#"stratgey = "recent_window""#, "stratgey"),
        (r#"strategy = "discard""#, "discard"),
        (r#"rungs = [{ kind = "shrink_all" }]"#, "shrink_all"),
        (r#"rungs = [{ kind = "cap_messages", tokens = 5 }]"#, "`tokens`"),
        (r#"rungs = [{ kind = "mask_tool_results", chars = 5 }]"#, "`chars`"),
        (r#"rungs = [{ kind = "summarise", trigger = "often" }]"#, "`trigger`"),
        (r#"rungs = [{ kind = "drop_blocks", block = 5 }]"#, "`block`"),
        (r#"rungs = [{ kind = "middle_out", first = 5 }]"#, "`first`"),
        (r#"rungs = [{ kind = "recent_window", max = 5 }]"#, "`max`"),
        (r#"rungs = [{ block_percent = 5 }]"#, "`kind`"),
    ] {
        check_refused(text, &[said]);
    }
}

#[test]
fn a_number_out_of_range_is_refused_with_key_value_and_rule() {
    for (rung, said) in [
        (r#"kind = "cap_messages", head_percent = 101"#, "rungs[0].head_percent = 101: it must be"),
        (r#"kind = "cap_messages", share_percent = 0"#, "rungs[0].share_percent = 0: it must be"),
        (r#"kind = "cap_messages", tokens_max = 31"#, "rungs[0].tokens_max = 31: it must be"),
        (r#"kind = "cap_messages", starts_at_percent = 101"#, "starts_at_percent = 101"),
        (r#"kind = "mask_tool_results", chars_max = 63"#, "rungs[0].chars_max = 63: it must be"),
        (r#"kind = "mask_tool_results", head_percent = 200"#, "head_percent = 200"),
        (r#"kind = "summarise", at_percent = 101"#, "rungs[0].at_percent = 101: it must be 1"),
        (r#"kind = "summarise", keep_percent = 80"#, "keep_percent = 80: it must be below"),
        (r#"kind = "summarise", model = " ""#, "rungs[0].model"),
        (r#"kind = "drop_blocks", block_percent = 0"#, "block_percent = 0: it must be 1 to 90"),
        (r#"kind = "drop_blocks", block_percent = 91"#, "block_percent = 91"),
        (r#"kind = "middle_out", keep_first_turns = 17"#, "keep_first_turns = 17"),
        (r#"kind = "middle_out", first_percent = 51"#, "first_percent = 51"),
        (r#"kind = "middle_out", block_percent = 91"#, "block_percent = 91"),
    ] {
        check_refused(&format!("rungs = [{{ {rung} }}]"), &[said]);
    }
    check_refused("pinned_percent = 51", &["pinned_percent = 51: it must be 0 to 50"]);
    check_refused("pinned_percent = -1", &["pinned_percent"]);
}

#[test]
fn rungs_out_of_order_are_refused() {
    for (kinds, said) in [
        (vec!["drop_blocks", "middle_out"], "rungs[1].kind = middle_out: only recent_window"),
        (vec!["drop_blocks", "cap_messages"], "rungs[1].kind = cap_messages: only"),
        (vec!["recent_window", "drop_blocks"], "rungs[1].kind = drop_blocks: nothing may follow"),
        (vec!["recent_window", "recent_window"], "nothing may follow"),
        (vec!["summarise", "summarise"], "rungs[1].kind = summarise: summarise may stand"),
        (vec!["cap_messages"; RUNGS_MAX + 1], "rungs = 9: at most 8"),
    ] {
        let rungs: Vec<String> =
            kinds.iter().map(|kind| format!("{{ kind = \"{kind}\" }}")).collect();
        check_refused(&format!("rungs = [{}]", rungs.join(", ")), &[said]);
    }
    check_refused(
        r#"rungs = [{ kind = "cap_messages", starts_at_percent = 90 },
        { kind = "mask_tool_results", starts_at_percent = 80 }]"#,
        &["rungs[1].starts_at_percent = 80", "a ladder rises"],
    );
}

#[test]
fn an_error_has_a_code_and_its_pieces() {
    let error = TruncationPolicy::default().with_pinned_percent(90).expect_err("above 50");
    assert_eq!((error.key(), error.value()), ("pinned_percent", "90"));
    assert_eq!(error.rule(), "it must be 0 to 50");
    assert_eq!((error.code(), error.is_transient()), ("invalid_policy", false));
    let rungs = vec![Rung::DropBlocks(Default::default()); RUNGS_MAX + 1];
    assert_eq!(TruncationPolicy::default().with_rungs(rungs).expect_err("too many").key(), "rungs");
}
