//! M2: what is held is a real upper bound, and the bound is what the provider is told.

use std::sync::Arc;

use chat_balance::{AccountKind, AccountSpec, MemoryLedger};
use chat_persist::MemoryStore;
use chat_provider_openai::{CapField, ModelOverride, OpenAiConfig, OpenAiProvider};
use chat_runtime::provider::{ModelProvider, ModelRequest, Prepared, ProviderRegistry};
use chat_runtime::usage::{CallShape, GrantRequest, MemoryUsageStore, PriceBook, UsageRecorder};
use chat_runtime::{AccountPolicy, BaseClient, BaseClientBuilder, PaidCall, Turn, TurnOutcome};
use chat_tests::FakeProvider;
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, price_book, request};
use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter};
use chat_transport::HttpTransport;
use chat_types::{
    AccountId, ContentPart, InvalidId, ModelId, ModelOptions, ModelRef, Money, Prompt, PromptItem,
    ProviderId, Purpose, Role, Scope, Section, TenantId, Tokens, TurnState, Usage, UserId,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::attempts::on_a_runtime;
use crate::bank::{NOW, key, nano};
use crate::counted;

/// Says more than any cap here.
const MODEL: &str = "fake:out-plain:chunks-5000:one_write";
const CAP_WANTED: u64 = 2_000;
/// What the balances are good for, down to the least reply that is worth a call.
const CAPS: [u64; 5] = [1_999, 1_000, 100, 17, 16];

on_every_engine! {
    m2_a_smaller_hold_is_a_smaller_cap_on_the_wire,
}

/// Each user has what a cap of his costs, and asks for more.
fn m2_a_smaller_hold_is_a_smaller_cap_on_the_wire(engine: Engine) {
    let options = SceneOptions::of_the_living().with_plain_models([MODEL.to_owned()]);
    let holds = CAPS.map(|cap| options.hold_of(MODEL, "say hello", cap));
    let scene = Scene::with(engine, &options.with_opening(Money::ZERO));
    on_a_runtime(&scene, async |runtime| {
        let ledger = runtime.store().ports().ledger.unwrap().balance;
        for (cap, hold) in CAPS.into_iter().zip(holds) {
            let scope = runtime.scope(&format!("user-{cap}")).unwrap();
            ledger.open_account(&scope, &account_of(&scope, hold), NOW).await.unwrap();
            let wanted = request(MODEL, "say hello", CAP_WANTED);
            let turn = runtime.client().send_message(&scope, wanted).await.unwrap();
            let outcome = end_of(&turn).await;
            // The reply is cut at the cap, which is the most that the hold pays for.
            assert_eq!(outcome.state, TurnState::Truncated, "{:?}", outcome.failure);
            assert_eq!(outcome.usage.output_total(), Tokens::new(cap));
            assert!(outcome.cost <= hold, "{} of {hold}", outcome.cost);
        }
        // One nano-USD less than the least reply costs calls nobody.
        let scope = runtime.scope("poor").unwrap();
        let short = nano(holds[4].nano_usd() - 1);
        ledger.open_account(&scope, &account_of(&scope, short), NOW).await.unwrap();
        let wanted = request(MODEL, "say hello", CAP_WANTED);
        let turn = runtime.client().send_message(&scope, wanted).await.unwrap();
        assert_eq!(end_of(&turn).await.state, TurnState::Rejected);
    });
    let sent: Vec<String> =
        scene.provider.captured().unwrap().into_iter().map(|call| call.body).collect();
    assert_eq!(sent.len(), CAPS.len());
    for (cap, body) in CAPS.into_iter().zip(&sent) {
        let tail = format!(",\"max_tokens\":{cap}}}");
        assert!(body.ends_with(&tail), "{body} does not end in {tail}");
    }
    scene.audit();
}

#[test]
fn m2_the_cap_on_the_wire_is_the_held_one_under_either_name() {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    threads.block_on(async {
        let options = SceneOptions::of_the_living().with_plain_models([MODEL.to_owned()]);
        for (field, name) in [
            (CapField::MaxTokens, "max_tokens"),
            (CapField::MaxCompletionTokens, "max_completion_tokens"),
        ] {
            let options = options.clone();
            let hold = std::thread::spawn(move || options.hold_of(MODEL, "say hello", 100));
            let provider = FakeProvider::spawn().unwrap();
            let client = client(&provider, field, hold.join().unwrap()).await;
            let scope = Scope::new(TenantId::new("t").unwrap(), UserId::new("ada").unwrap());
            let turn = client.send_message(&scope, request(MODEL, "say hello", CAP_WANTED)).await;
            end_of(&turn.unwrap()).await;
            let sent = provider.captured().unwrap();
            let tail = format!(",\"{name}\":100}}");
            assert!(sent.len() == 1 && sent[0].body.ends_with(&tail), "{tail}: {sent:?}");
            client.drain().await;
        }
    });
}

/// A runtime in memory that calls the cap by this name and gives every user so much.
async fn client(provider: &FakeProvider, field: CapField, opening: Money) -> BaseClient {
    let (store, ledger) = (MemoryStore::new(), MemoryLedger::new());
    let mut config = OpenAiConfig::compatible(
        ProviderId::new("openai").unwrap(),
        provider.base_url(),
        ModelId::new("fake").unwrap(),
    );
    config.cap_field = Some(field);
    config.models.insert(MODEL.to_owned(), of_openai());
    let openai = OpenAiProvider::new(config, Arc::new(HttpTransport::default())).unwrap();
    BaseClientBuilder::new(
        Arc::new(store),
        Arc::new(ledger),
        Arc::new(MemoryUsageStore::new()),
        ProviderRegistry::new().with(Arc::new(openai)),
        PriceBook::from_toml(&price_book()).unwrap(),
    )
    .accounts(Arc::new(Opened(opening)))
    .start()
    .await
    .unwrap()
}

/// Every user has an account, opened with so much.
#[derive(Debug)]
struct Opened(Money);

impl AccountPolicy for Opened {
    fn accounts(&self, call: &PaidCall<'_>) -> Result<Vec<AccountSpec>, InvalidId> {
        Ok(vec![account_of(call.scope, self.0)])
    }
}

fn account_of(scope: &Scope, opening: Money) -> AccountSpec {
    let id = AccountId::new(scope.user.as_str()).unwrap();
    let owner = Some(scope.user.clone());
    AccountSpec { owner, opening, ..AccountSpec::new(id, AccountKind::Limited) }
}

async fn end_of(turn: &Turn) -> TurnOutcome {
    let outcome = turn.outcome().await.unwrap();
    turn.settled().await;
    outcome
}

fn of_openai() -> ModelOverride {
    ModelOverride {
        tokenizer: Some(OpenAiEncoding::O200kBase.tokenizer()),
        ..ModelOverride::default()
    }
}

/// One call as a property has it.
#[derive(Debug, Clone)]
struct Call {
    /// Input, cache read, cache write, output, reasoning: micro-USD per million tokens.
    prices: [u32; 5],
    fee: u32,
    messages: Vec<String>,
    /// How the input is spread over the prices, in percent.
    cached: [u64; 2],
    cap: u64,
    /// Of what the wanted cap costs, in percent.
    balance: i64,
    reasoning: u64,
}

fn any_call() -> impl Strategy<Value = Call> {
    let price = || prop_oneof![9 => 0..100_000_000_u32, 1 => Just(0_u32)];
    let text = prop_oneof![
        4 => "[ -~]{0,120}",
        2 => "\\PC{0,60}",
        1 => "[0-9]{0,80}",
        1 => "[\\p{Han}\\p{Hangul}]{0,60}",
        1 => "[\u{1F300}-\u{1F9FF}]{0,40}",
        1 => "(\\s|[{}()\\[\\];,.]){0,80}",
    ];
    (
        [price(), price(), price(), price(), price()],
        prop_oneof![Just(0_u32), 0..1_000_000_u32],
        prop::collection::vec(text, 1..6),
        [0..=100_u64, 0..=100_u64],
        1..100_000_u64,
        prop_oneof![1 => Just(100_i64), 1 => 0..120_i64],
        0..=100_u64,
    )
        .prop_map(|(prices, fee, messages, cached, cap, balance, reasoning)| Call {
            prices,
            fee,
            messages,
            cached,
            cap,
            balance,
            reasoning,
        })
}

/// A call that emits exactly its cap, whatever it is made of, costs no more than was held for it.
#[test]
fn m2_a_call_that_emits_its_cap_costs_no_more_than_its_hold() {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut config = OpenAiConfig::compatible(
        ProviderId::new("a").unwrap(),
        "http://127.0.0.1:9/v1",
        ModelId::new("known").unwrap(),
    );
    config.models.insert("known".to_owned(), of_openai());
    let provider = OpenAiProvider::new(config, Arc::new(HttpTransport::default())).unwrap();
    let cases = u32::try_from(counted(3_000, 100_000)).unwrap();
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let granted = std::cell::Cell::new(0_u32);
    let done = runner.run(&any_call(), |call| {
        let is_granted = threads.block_on(check_bound(&provider, &call))?;
        granted.set(granted.get() + u32::from(is_granted));
        Ok(())
    });
    println!("{} of {cases} calls could be paid for", granted.get());
    done.unwrap();
    assert!(granted.get() > cases / 3);
}

async fn check_bound(provider: &OpenAiProvider, call: &Call) -> Result<bool, TestCaseError> {
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    // What the model charges for the prompt, by its maker's own rule.
    let charged = counter.priming().plus(
        call.messages
            .iter()
            .map(|text| counter.count_message(Role::User, &[text_part(text)]))
            .sum::<Tokens>(),
    );
    let prepared = prepare(provider, call, charged);
    prop_assert!(charged <= prepared.input_bound, "{charged} > {}", prepared.input_bound);

    let model = ModelRef::new(ProviderId::new("a").unwrap(), ModelId::new("known").unwrap());
    let ledger = MemoryLedger::new();
    let prices = Arc::new(PriceBook::from_toml(&book(call)).unwrap());
    let usage = Arc::new(MemoryUsageStore::new());
    let recorder = UsageRecorder::new(prices, Arc::new(ledger.clone()), usage);
    let mut request = GrantRequest {
        key: key("t"),
        purpose: Purpose::Reply,
        model: model.clone(),
        input_bound: prepared.input_bound,
        output_cap: Tokens::new(call.cap),
        accounts: vec![AccountSpec::new(AccountId::new("ada").unwrap(), AccountKind::Limited)],
        at: NOW,
        shape: CallShape::standard(),
    };
    let scope = Scope::new(TenantId::new("t").unwrap(), UserId::new("ada").unwrap());
    let quote = recorder.quote(&request).unwrap();
    let opening = nano(quote.amount.nano_usd() / 100 * call.balance);
    {
        use chat_balance::BalanceAdapter as _;
        ledger.open_account(&scope, &account_of(&scope, opening), NOW).await.unwrap();
    }
    request.at = NOW;
    let Ok(grant) = recorder.grant(&scope, &request).await else {
        prop_assert!(opening < quote.floor, "{opening} refused, {} is enough", quote.floor);
        return Ok(false);
    };
    let terms = grant.terms();
    let usage = spread(call, charged, terms.output_cap);
    prop_assert_eq!(usage.output_total(), terms.output_cap);
    let cost = recorder.cost(&model, NOW, &usage).unwrap().amount;
    prop_assert!(cost <= terms.held, "{} held, {cost} charged: {usage:?}", terms.held);
    prop_assert!(terms.held <= opening, "{} held of {opening}", terms.held);
    Ok(true)
}

fn text_part(text: &str) -> ContentPart {
    ContentPart::Text { text: text.to_owned() }
}

fn prepare(provider: &OpenAiProvider, call: &Call, input_tokens: Tokens) -> Prepared {
    let items = call.messages.iter().map(|text| PromptItem {
        section: Section::User,
        role: Role::User,
        parts: vec![text_part(text)],
        source: None,
        cache_mark: false,
    });
    let request = ModelRequest {
        model: ModelId::new("known").unwrap(),
        prompt: Prompt { items: items.collect(), tools: Vec::new() },
        media: Vec::new(),
        options: ModelOptions::default(),
        stream: true,
        input_tokens,
    };
    provider.prepare(&request).unwrap()
}

fn book(call: &Call) -> String {
    let usd = |micro: u32| format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    let [input, cache_read, cache_write, output, reasoning] = call.prices.map(usd);
    format!(
        "book = \"b\"\n[[price]]\nmodel = \"a/known\"\nvalid_from = 1970-01-01\ninput = \"{input}\"\n\
         cache_read = \"{cache_read}\"\ncache_write = \"{cache_write}\"\noutput = \"{output}\"\n\
         reasoning = \"{reasoning}\"\nfee = \"0.{:06}\"\n",
        call.fee
    )
}

/// All of the input and all of the cap, spread as the call says.
fn spread(call: &Call, input: Tokens, cap: Tokens) -> Usage {
    let cache_read = Tokens::new(input.get() * call.cached[0] / 100);
    let rest = input.minus(cache_read);
    let cache_write = Tokens::new(rest.get() * call.cached[1] / 100);
    let reasoning = Tokens::new(cap.get() * call.reasoning / 100);
    Usage {
        input_uncached: rest.minus(cache_write),
        cache_read,
        cache_write,
        output: cap.minus(reasoning),
        reasoning,
    }
}
