//! LibreChat's transactions and balances in our words.
//!
//! A credit is a millionth of a dollar: a thousand nano-dollars. What was spent is rounded up, what
//! is left is rounded down.

use chat_archive::ArchiveLine;
use chat_balance::{AccountKind, AccountSpec, AccountUnit};
use chat_types::{
    AccountId, AttemptKey, ConversationId, ModelId, ModelRef, Money, ProviderId, Purpose, Scope,
    StepKey, Timestamp, Tokens, TurnId, Usage, UsageSource,
};
use chat_usage::UsageRow;
use mongodb::bson::Document;
use mongodb::bson::oid::ObjectId;

use super::LibreChatReport;
use crate::record::{Fields, file_scope_of};

/// The price version of rows that LibreChat priced, and the provider and the conversation of those
/// it does not name.
const LIBRECHAT: &str = "librechat";

const NANO_USD_PER_CREDIT: f64 = 1_000.0;

/// One usage row of one transaction, under a key made of its `_id`.
pub(super) fn usage_of(document: &Document, report: &mut LibreChatReport) -> Option<ArchiveLine> {
    let fields = Fields(document);
    let token_type = fields.optional_text("tokenType").ok().flatten();
    if token_type == Some("credits") {
        report.credits_left_out += 1;
        return None;
    }
    let row = row_of(document, token_type, report);
    if row.is_none() {
        report.transactions_left_out += 1;
    }
    let (scope, row) = row?;
    Some(ArchiveLine::Usage { scope, row: Box::new(row) })
}

fn row_of(
    document: &Document,
    token_type: Option<&str>,
    report: &mut LibreChatReport,
) -> Option<(Scope, UsageRow)> {
    let fields = Fields(document);
    let text = |name: &str| fields.optional_text(name).ok().flatten();
    let scope = file_scope_of(document).ok()?;
    let object_id = document.get_object_id("_id").ok()?;
    let raw_tokens = tokens(fields, "rawAmount");
    let usage = match token_type? {
        "prompt" => {
            let parts = ["inputTokens", "writeTokens", "readTokens"];
            match parts.map(|name| tokens(fields, name)) {
                [None, None, None] => Usage { input_uncached: raw_tokens?, ..Usage::default() },
                [input, write, read] => Usage {
                    input_uncached: input.unwrap_or_default(),
                    cache_write: write.unwrap_or_default(),
                    cache_read: read.unwrap_or_default(),
                    ..Usage::default()
                },
            }
        }
        "completion" => Usage { output: raw_tokens?, ..Usage::default() },
        _ => return None,
    };
    let value = fields.optional_float("tokenValue").unwrap_or_default().abs();
    let (amount, is_whole) = nano_usd(value)?;
    let amount = if is_whole { amount } else { amount.checked_add(1)? };
    let named = text("conversationId").and_then(|id| ConversationId::new(id).ok());
    if named.is_none() {
        report.usage_without_conversation += 1;
    }
    let conversation = match named {
        Some(named) => named,
        None => ConversationId::new(LIBRECHAT).ok()?,
    };
    let model = ModelId::new(text("model").unwrap_or("unknown"))
        .or_else(|_| ModelId::new("unknown"))
        .ok()?;
    let turn = TurnId::new(format!("{LIBRECHAT}:{}", object_id.to_hex())).ok()?;
    let row = UsageRow {
        key: AttemptKey { step: StepKey { turn, step: 1 }, attempt: 1 },
        conversation,
        purpose: purpose_of(text("context")),
        model: ModelRef::new(ProviderId::new(LIBRECHAT).ok()?, model),
        usage,
        source: UsageSource::Imported,
        amount: Money::from_nano_usd(amount),
        price_version: LIBRECHAT.to_owned(),
        provider_request_id: None,
        at: at(fields, object_id),
    };
    Some((scope, row))
}

fn purpose_of(context: Option<&str>) -> Purpose {
    match context {
        Some("title") => Purpose::Title,
        Some("summary" | "summarization") => Purpose::Summary,
        _ => Purpose::Reply,
    }
}

/// The opening of a user's account with what his balance holds.
pub(super) fn opening_of(
    document: &Document,
    report: &mut LibreChatReport,
) -> Option<(Scope, AccountSpec, Timestamp)> {
    let opening = opening(document);
    let Some((scope, object_id, credits)) = opening else {
        report.balances_left_out += 1;
        return None;
    };
    let mut amount = 0;
    if credits < 0.0 {
        report.balances_negative += 1;
    } else {
        let (whole, is_whole) = nano_usd(credits)?;
        amount = whole;
        if !is_whole {
            report.balances_rounded += 1;
        }
    }
    let spec = AccountSpec {
        id: AccountId::new(scope.user.as_str()).ok()?,
        owner: Some(scope.user.clone()),
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(amount),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    let opened_at = Timestamp::from_unix_ms(object_id.timestamp().timestamp_millis());
    Some((scope, spec, opened_at))
}

fn opening(document: &Document) -> Option<(Scope, ObjectId, f64)> {
    let scope = file_scope_of(document).ok()?;
    let object_id = document.get_object_id("_id").ok()?;
    let credits = Fields(document).optional_float("tokenCredits").unwrap_or_default();
    nano_usd(credits.abs())?;
    Some((scope, object_id, credits))
}

fn at(fields: Fields<'_>, object_id: ObjectId) -> Timestamp {
    let first_seen = Timestamp::from_unix_ms(object_id.timestamp().timestamp_millis());
    fields.optional_time("createdAt").ok().flatten().unwrap_or(first_seen)
}

/// LibreChat writes what is spent as negative numbers, now and then with a fraction.
fn tokens(fields: Fields<'_>, name: &str) -> Option<Tokens> {
    let amount = fields.optional_float(name)?.abs();
    format!("{:.0}", amount.ceil()).parse().ok().map(Tokens::new)
}

/// Credits as whole nano-dollars, rounded down, and whether nothing was cut off. A millionth of a
/// nano-dollar is the noise of LibreChat's floating point and counts as nothing. None for what does
/// not fit.
fn nano_usd(credits: f64) -> Option<(i64, bool)> {
    let written = format!("{:.6}", credits * NANO_USD_PER_CREDIT);
    let (whole, rest) = written.split_once('.')?;
    Some((whole.parse().ok()?, rest.bytes().all(|digit| digit == b'0')))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, doc};

    use super::*;

    fn transaction(extra: Document) -> Document {
        let mut document = doc! {
            "_id": ObjectId::from_bytes([1; 12]),
            "user": ObjectId::from_bytes([2; 12]),
            "conversationId": "c-1",
            "model": "gpt-4o",
            "context": "message",
        };
        document.extend(extra);
        document
    }

    fn row(document: &Document) -> UsageRow {
        match usage_of(document, &mut LibreChatReport::default()) {
            Some(ArchiveLine::Usage { row, .. }) => *row,
            other => panic!("no usage row: {other:?}"),
        }
    }

    #[test]
    fn a_completion_becomes_output() {
        let spent = doc! { "tokenType": "completion", "rawAmount": -7, "tokenValue": -70.5 };
        let row = row(&transaction(spent));
        assert_eq!(row.usage, Usage { output: Tokens::new(7), ..Usage::default() });
        assert_eq!(row.amount, Money::from_nano_usd(70_500));
        assert_eq!(row.key.step.turn.as_str(), "librechat:010101010101010101010101");
    }

    #[test]
    fn a_structured_prompt_keeps_its_buckets() {
        let spent = doc! {
            "tokenType": "prompt", "rawAmount": -60, "tokenValue": -114.0000001,
            "inputTokens": -10, "writeTokens": -20, "readTokens": -30,
        };
        let expected = Usage {
            input_uncached: Tokens::new(10),
            cache_write: Tokens::new(20),
            cache_read: Tokens::new(30),
            ..Usage::default()
        };
        let row = row(&transaction(spent));
        assert_eq!((row.usage, row.amount), (expected, Money::from_nano_usd(114_001)));
    }

    #[test]
    fn noise_of_floating_point_costs_nothing() {
        assert_eq!(nano_usd(1.1), Some((1_100, true)));
        assert_eq!(nano_usd(0.000_1), Some((0, false)));
        assert_eq!(nano_usd(f64::NAN), None);
        assert_eq!(nano_usd(1e30), None);
    }

    #[test]
    fn credits_stay_with_the_balance() {
        let mut report = LibreChatReport::default();
        let given = doc! { "tokenType": "credits", "rawAmount": 10_000 };
        assert_eq!(usage_of(&transaction(given), &mut report), None);
        assert_eq!(report.credits_left_out, 1);
    }

    #[test]
    fn balances_are_rounded_down_and_never_below_nothing() {
        let opened = |credits: Bson| {
            let mut report = LibreChatReport::default();
            let document = doc! {
                "_id": ObjectId::from_bytes([1; 12]),
                "user": ObjectId::from_bytes([2; 12]),
                "tokenCredits": credits,
            };
            let (_, spec, _) = opening_of(&document, &mut report).expect("an opening");
            (spec.opening.nano_usd(), report.balances_negative, report.balances_rounded)
        };
        assert_eq!(opened(Bson::Int32(20_000)), (20_000_000, 0, 0));
        assert_eq!(opened(Bson::Double(0.123_456_7)), (123, 0, 1));
        assert_eq!(opened(Bson::Double(-5.0)), (0, 1, 0));
    }
}
