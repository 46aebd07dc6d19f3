//! Several budgets pay for one turn: all of them, or it is refused before any call.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_balance::{
    AccountKind, AccountUnit, BalanceAdapter, Period, PeriodUnit, Refill, RefillMode,
};
use chat_core::{BaseClient, Budget, BudgetScope, Budgets, TurnRequest};
use chat_types::{AccountId, Money, TurnState};

use crate::common::{World, ada, assert_sound, complete, end_of, scope, send};

fn budget(name: &str, scope: BudgetScope, unit: AccountUnit, opening: i64) -> Budget {
    Budget {
        name: name.to_owned(),
        scope,
        unit,
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(opening),
        refill: None,
        warn_below: None,
        models: None,
    }
}

async fn client(world: &World, budgets: Vec<Budget>) -> BaseClient {
    let teams = [("ada", "physics"), ("bob", "physics")];
    let teams = teams.map(|(user, team)| (scope(user).user, team.to_owned()));
    let budgets = Budgets::new(budgets, BTreeMap::from(teams)).expect("valid");
    world.builder().accounts(Arc::new(budgets)).start().await.expect("starts")
}

async fn posted(world: &World, id: &str) -> Option<i64> {
    let id = AccountId::new(id).expect("valid");
    let account = world.ledger.account(&ada(), &id).await.expect("reads");
    account.map(|account| account.posted.nano_usd())
}

#[tokio::test(start_paused = true)]
async fn every_budget_pays_in_its_own_unit() {
    let world = World::saying(&["fine"]);
    let client = client(
        &world,
        vec![
            budget("tenant", BudgetScope::Tenant, AccountUnit::Usd, 1_000_000_000),
            budget("team", BudgetScope::Team, AccountUnit::Usd, 1_000_000_000),
            budget("own", BudgetScope::User, AccountUnit::Usd, 1_000_000_000),
            budget("calls", BudgetScope::User, AccountUnit::Requests, 5),
            budget("tokens", BudgetScope::Conversation, AccountUnit::Tokens, 100_000),
        ],
    )
    .await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    let rows = world.rows(&ada()).await;
    let (cost, usage) = (rows[0].amount.nano_usd(), rows[0].usage);
    for id in ["tenant", "team:physics", "own:ada"] {
        assert_eq!(posted(&world, id).await, Some(cost), "{id}");
    }
    assert_eq!(posted(&world, "calls:ada").await, Some(1));
    let tokens = i64::try_from(usage.input_total().plus(usage.output_total()).get()).expect("few");
    let per_conversation = format!("tokens:{}", turn.conversation());
    assert_eq!(posted(&world, &per_conversation).await, Some(tokens));
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_refuses_the_turn_and_says_when_it_is_filled_again() {
    let world = World::saying(&["fine"]);
    let minute = Period::new(1, PeriodUnit::Minute, "UTC").expect("a period");
    let amount = Money::from_nano_usd(1);
    let per_minute = Refill { mode: RefillMode::Reset, amount, period: minute };
    let calls = Budget {
        refill: Some(per_minute),
        ..budget("calls", BudgetScope::User, AccountUnit::Requests, 1)
    };
    let own = budget("own", BudgetScope::User, AccountUnit::Usd, 1_000_000_000);
    let client = client(&world, vec![own, calls]).await;
    complete(&client, TurnRequest::text("one")).await;

    let refused = send(&client, TurnRequest::text("two")).await;
    let outcome = end_of(&refused).await;
    assert_eq!(outcome.state, TurnState::Rejected);
    let failure = outcome.failure.expect("says why");
    assert_eq!(failure.code, "insufficient_funds");
    for part in ["calls:ada", "1 requests needed", "0 requests available", "1970-01-01 00:17"] {
        assert!(failure.message.contains(part), "{part} in {}", failure.message);
    }
    assert_eq!(world.provider.calls().len(), 1);

    world.clock.advance_ms(60_000);
    let (_, outcome) = complete(&client, TurnRequest::text("three")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_other_models_does_not_pay() {
    let world = World::saying(&["fine"]);
    let elsewhere = Budget {
        models: Some("openai/*".to_owned()),
        ..budget("openai", BudgetScope::User, AccountUnit::Requests, 0)
    };
    let own = budget("own", BudgetScope::User, AccountUnit::Usd, 1_000_000_000);
    let client = client(&world, vec![own, elsewhere]).await;
    let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(posted(&world, "openai:ada").await, None);
}

#[tokio::test(start_paused = true)]
async fn short_tokens_shrink_the_cap_on_the_wire() {
    let world = World::saying(&["fine"]);
    let tokens = budget("tokens", BudgetScope::User, AccountUnit::Tokens, 200);
    let client = client(&world, vec![tokens]).await;
    complete(&client, TurnRequest::text("hi")).await;
    let calls = world.provider.calls();
    let cap = calls[0].output_cap.get();
    assert!((16..200).contains(&cap), "{cap}");
    assert_sound(&client).await;
}

#[test]
fn budgets_that_make_no_sense_are_refused() {
    let own = || budget("own", BudgetScope::User, AccountUnit::Usd, 1);
    let check = |budgets: Vec<Budget>, said: &str| {
        let refused = Budgets::new(budgets, BTreeMap::new()).expect_err("refused").to_string();
        assert!(refused.contains(said), "{refused}");
    };
    check(vec![own(), own()], "two of this name");
    check(vec![Budget { name: "Own!".to_owned(), ..own() }], "small letters");
    check(vec![Budget { opening: Money::from_nano_usd(-1), ..own() }], "less than nothing");
    check(vec![Budget { models: Some("openai/*".to_owned()), ..own() }], "for all models");
    check(vec![Budget { scope: BudgetScope::Team, ..own() }], "for all models");
}
