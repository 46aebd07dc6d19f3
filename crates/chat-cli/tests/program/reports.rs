//! What `usage`, `prices`, `tree --costs` and `show --costs` add up, to the last nano-USD.

use crate::support::Home;

/// The example counts words: three in and five out for "a b c".
const BOOK: &str = "book = \"mine\"\nsource = \"the contract of May\"\n\
    [[price]]\nmodel = \"example/*\"\nvalid_from = 2020-01-01\ninput = \"1000\"\noutput = \"2000\"\n\
    fee = \"0.01\"\n\
    [price.long]\nabove = 100000\ninput = \"1500\"\noutput = \"2500\"\n\
    [price.tier.flex]\ninput = \"500\"\noutput = \"1000\"\n";

/// What "a b c" costs by it: a fee, three at $0.001, five at $0.002.
const COST: u64 = 10_000_000 + 13_000_000;

/// A home whose example is priced.
fn priced() -> Home {
    let home = Home::new();
    let book = home.path("prices.toml");
    std::fs::write(&book, BOOK).unwrap();
    let book = book.display().to_string();
    home.with("CHAT_PRICES", book)
}

fn other_book(home: &Home, input: &str) -> String {
    let path = home.path("other.toml");
    let text =
        BOOK.replace("\"1000\"\noutput = \"2000\"", &format!("{input:?}\noutput = \"2000\""));
    std::fs::write(&path, text.replace("\"mine\"", "\"other\"")).unwrap();
    path.display().to_string()
}

/// Changes rows underneath the program: `statements` of Python see the database as `db`.
fn change_database(home: &Home, statements: &str) {
    let program = format!(
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n{statements}\ndb.commit()\n"
    );
    let status = std::process::Command::new("python3")
        .args(["-c", &program])
        .arg(home.database())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn groups_are_exact_sums_of_rows() {
    let home = priced();
    for _ in 0..3 {
        home.ok(&["send", "a b c"]);
    }
    for by in ["day", "user", "model", "conversation", "purpose"] {
        let groups = home.json(&["usage", "--by", by, "--json"]);
        let calls: u64 = groups.iter().map(|group| group["calls"].as_u64().unwrap()).sum();
        let amount: u64 =
            groups.iter().map(|group| group["amount_nano_usd"].as_u64().unwrap()).sum();
        assert_eq!((calls, amount), (3, 3 * COST), "{by}");
        assert_eq!(groups.len(), if by == "conversation" { 3 } else { 1 }, "{by}");
    }
    let models = home.json(&["usage", "--by", "model", "--json"]);
    assert_eq!(models[0]["group"], "example/echo-1");
    let table = home.ok(&["usage", "--by", "purpose"]);
    assert!(table.contains("reply") && table.contains("$0.069"), "{table}");
    assert!(table.ends_with("3 calls, 9 tokens in, 15 out, $0.069\n"), "{table}");
}

#[test]
fn other_users_are_summed_up_only_when_asked_for() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    home.ok(&["--user", "eve", "send", "a b c"]);
    home.ok(&["--user", "eve", "send", "a b c"]);
    let own = home.json(&["usage", "--by", "user", "--json"]);
    assert_eq!((own.len(), &own[0]["group"]), (1, &"local-user".into()));
    let all = home.json(&["usage", "--by", "user", "--all-users", "--json"]);
    let shown: Vec<(&str, u64)> = all
        .iter()
        .map(|group| (group["group"].as_str().unwrap(), group["amount_nano_usd"].as_u64().unwrap()))
        .collect();
    assert_eq!(shown, [("eve", 2 * COST), ("local-user", COST)]);
    assert_eq!(home.json(&["usage", "--all-users", "--json"]).len(), 3);
    let refused = home.run(&["--user", "eve", "usage", "--all-users"]);
    refused.is_failure(2, "conflicting_flags");
}

#[test]
fn a_range_of_days_is_from_its_start_up_to_its_end() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    // 2026-03-05T12:00:00Z.
    change_database(&home, "db.execute('UPDATE usage SET at = 1772712000000')");
    for (range, rows) in [
        (&["--from", "2026-03-05"][..], 1),
        (&["--from", "2026-03-06"], 0),
        (&["--until", "2026-03-05"], 0),
        (&["--until", "2026-03-06"], 1),
        (&["--from", "2026-03-05", "--until", "2026-03-06"], 1),
    ] {
        for all in [&[][..], &["--all-users"]] {
            let found = home.json(&[&["usage", "--json"], range, all].concat());
            assert_eq!(found.len(), rows, "{range:?} {all:?}");
        }
    }
    let days = home.json(&["usage", "--by", "day", "--json"]);
    assert_eq!(days[0]["group"], "2026-03-05");
    assert_eq!(home.run(&["usage", "--from", "2026-02-30"]).code, 2);
}

#[test]
fn comma_separated_values_are_quoted_and_no_formula() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    change_database(
        &home,
        "db.execute(\"UPDATE usage SET provider_request_id = '=cmd|'' /C \\\"x\\\",1'\")",
    );
    let rows = home.ok(&["usage", "--csv"]);
    let lines: Vec<&str> = rows.split("\r\n").collect();
    assert_eq!((lines.len(), lines[2]), (3, ""), "{rows:?}");
    assert!(lines[0].starts_with("at_utc,user,conversation,turn,"), "{rows}");
    let end = format!(",{COST},0.023,\"'=cmd|' /C \"\"x\"\",1\"");
    assert!(lines[1].ends_with(&end), "{rows}");
    let groups = home.ok(&["usage", "--by", "model", "--csv"]);
    assert_eq!(
        groups,
        format!(
            "model,calls,input_uncached,cache_read,cache_write,output,reasoning,amount_nano_usd,\
             amount_usd\r\nexample/echo-1,1,3,0,0,5,0,{COST},0.023\r\n"
        )
    );
    home.run(&["usage", "--csv", "--json"]).is_failure(2, "conflicting_flags");
}

#[test]
fn a_chart_draws_each_group_within_80_columns() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    home.ok(&["--user", "eve", "send", "a b c d e f g h"]);
    let chart = home.ok(&["usage", "--by", "user", "--all-users", "--chart"]);
    let lines: Vec<&str> = chart.lines().collect();
    assert_eq!(lines.len(), 3, "{chart}");
    assert!(lines[0].starts_with("eve         ####"), "{chart}");
    assert!(lines[1].starts_with("local-user  ####") && lines[1].ends_with("  $0.023"), "{chart}");
    assert!(lines.iter().all(|line| line.len() <= 80 && line.is_ascii()), "{chart}");
    assert_eq!(home.run(&["usage", "--chart"]).code, 2);
}

#[test]
fn a_tree_shows_what_each_reply_and_each_branch_cost() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    let id = home.conversation();
    let tree = home.json(&["tree", &id, "--json"]);
    assert_eq!(tree[0].get("costs"), None);
    let reply = tree[0]["messages"][1]["id"].as_str().unwrap().to_owned();
    home.ok(&["send", "-c", &id, "--parent", &reply, "second"]);
    home.ok(&["send", "-c", &id, "--parent", &reply, "another second"]);

    let tree = home.json(&["tree", &id, "--costs", "--json"]);
    let costs = &tree[0]["costs"];
    let amounts = |list: &serde_json::Value| -> Vec<u64> {
        let list = list.as_array().unwrap().iter();
        list.map(|item| item["amount_nano_usd"].as_u64().unwrap()).collect()
    };
    let (messages, branches) = (amounts(&costs["messages"]), amounts(&costs["branches"]));
    assert_eq!((messages.len(), branches.len()), (3, 2), "{costs}");
    assert_eq!(messages[0], COST);
    let mut expected = [COST + messages[1], COST + messages[2]];
    let mut branches: [u64; 2] = branches.try_into().unwrap();
    expected.sort_unstable();
    branches.sort_unstable();
    assert_eq!(branches, expected);
    let total: u64 = messages.iter().sum();
    assert_eq!(
        (costs["total_nano_usd"].as_u64(), &costs["elsewhere_nano_usd"]),
        (Some(total), &0.into())
    );
    let usage = home.json(&["usage", "-c", &id, "--by", "conversation", "--json"]);
    assert_eq!(usage[0]["amount_nano_usd"].as_u64(), Some(total));

    let drawn = home.ok(&["tree", &id, "--costs"]);
    assert!(drawn.contains("[$0.023]"), "{drawn}");
    assert_eq!(drawn.matches(", branch $").count(), 2, "{drawn}");
    assert!(drawn.trim_end().ends_with(" in all"), "{drawn}");
    // A copy was paid for by its original.
    let copy = home.ok(&["fork", &id, "--at", &reply]);
    let copied = home.json(&["tree", copy.trim(), "--costs", "--json"]);
    assert_eq!(copied[0]["costs"]["total_nano_usd"], 0);
}

#[test]
fn a_branch_shows_what_each_message_cost_by_purpose_and_its_sum() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    let id = home.conversation();
    let shown = home.json(&["show", &id, "--json"]);
    assert_eq!(shown[0].get("costs"), None);
    let reply = shown[0]["messages"][1]["id"].as_str().unwrap().to_owned();
    home.ok(&["send", "-c", &id, "--parent", &reply, "second"]);
    home.ok(&["send", "-c", &id, "--parent", &reply, "another second"]);
    // As if the first turn had named the conversation too.
    change_database(
        &home,
        "row = list(db.execute('SELECT * FROM usage ORDER BY pk LIMIT 1').fetchone())\n\
         names = [d[0] for d in db.execute('SELECT * FROM usage').description]\n\
         for name, value in [('pk', None), ('step', 2), ('purpose', 'title'), ('amount', 7000000)]:\n\
         \x20   row[names.index(name)] = value\n\
         db.execute('INSERT INTO usage VALUES (' + ','.join('?' * len(row)) + ')', row)",
    );
    let shown = home.json(&["show", &id, "--costs", "--json"]);
    let costs = &shown[0]["costs"];
    let messages = costs["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{costs}");
    assert_eq!(
        messages[0],
        serde_json::json!({
            "message": reply,
            "amount_nano_usd": COST + 7_000_000,
            "by_purpose_nano_usd": { "reply": COST, "title": 7_000_000 },
        })
    );
    let second = messages[1]["amount_nano_usd"].as_u64().unwrap();
    let sum = COST + 7_000_000 + second;
    assert_eq!(costs["branch_nano_usd"].as_u64(), Some(sum));
    // The tree's sums are the same, whatever the branch.
    let tree = home.json(&["tree", &id, "--costs", "--json"]);
    let head = &shown[0]["conversation"]["head"];
    let branches = tree[0]["costs"]["branches"].as_array().unwrap();
    let branch = branches.iter().find(|branch| branch["head"] == *head).unwrap();
    assert_eq!(branch["amount_nano_usd"].as_u64(), Some(sum));
    let first = home.json(&["show", &id, "--at", &reply, "--costs", "--json"]);
    assert_eq!(first[0]["costs"]["branch_nano_usd"], COST + 7_000_000);

    let text = home.ok(&["show", &id, "--costs"]);
    assert!(text.contains(" · $0.03 (reply $0.023, title $0.007)\n"), "{text}");
    let last = text.lines().last().unwrap().strip_suffix(" on this branch").unwrap();
    let (whole, nano) = last.strip_prefix('$').unwrap().split_once('.').unwrap();
    assert_eq!(format!("{whole}{nano:0<9}").parse(), Ok(sum), "{text}");
    assert!(!home.ok(&["show", &id]).contains('$'));
}

#[test]
fn repricing_shows_what_another_book_would_have_meant_and_writes_nothing() {
    let home = priced();
    for _ in 0..3 {
        home.ok(&["send", "a b c"]);
    }
    change_database(
        &home,
        "turns = [row[0] for row in db.execute('SELECT turn FROM usage ORDER BY turn')]\n\
         for turn, version in zip(turns, ['held', 'mine:example/*@2020-01-01#flex']):\n\
         \x20   db.execute('UPDATE usage SET price_version = ? WHERE turn = ?', (version, turn))",
    );
    let before = home.json(&["usage", "--json"]);
    let other = other_book(&home, "4000");
    let models = home.json(&["usage", "reprice", "--dry-run", "--prices", &other, "--json"]);
    // One row at the new price, one in its own tier, whose price did not change.
    let (standard, flex) = (10_000_000 + 22_000_000, 10_000_000 + 6_500_000);
    let expected = serde_json::json!({
        "model": "example/echo-1",
        "rows": 2,
        "recorded_nano_usd": 2 * COST,
        "repriced_nano_usd": standard + flex,
        "difference_nano_usd": i64::from(standard + flex) - i64::try_from(2 * COST).unwrap(),
        "kept_rows": { "held": 1 },
        "kept_nano_usd": COST,
    });
    assert_eq!(models, [expected]);
    let table = home.run(&["usage", "reprice", "--dry-run", "--prices", &other]);
    assert!(table.stdout.contains("1 (1 held)"), "{table:?}");
    assert!(table.stderr.contains("nothing was changed"), "{table:?}");
    let none = home.json(&["usage", "reprice", "--dry-run", "--until", "2020-01-01", "--json"]);
    assert!(none.is_empty());

    home.run(&["usage", "reprice", "--prices", &other]).is_failure(2, "past_is_final");
    assert_eq!(home.json(&["usage", "--json"]), before);
}

#[test]
fn calls_without_a_price_are_counted_and_named() {
    let home = priced();
    home.ok(&["send", "a b c"]);
    change_database(&home, "db.execute(\"UPDATE usage SET model = 'nobody/none'\")");
    let models = home.json(&["usage", "reprice", "--dry-run", "--json"]);
    assert_eq!(
        (&models[0]["rows"], &models[0]["kept_rows"]),
        (&0.into(), &serde_json::json!({ "no_price": 1 }))
    );
}

#[test]
fn prices_are_listed_and_shown_with_their_tiers_and_source() {
    let home = priced();
    let list = home.ok(&["prices"]);
    assert!(list.contains("mine:example/*@2020-01-01"), "{list}");
    assert_eq!(list, home.ok(&["prices", "list"]));
    let some = home.ok(&["prices", "list", "claude-sonnet"]);
    assert!(some.lines().count() > 1 && !some.contains("openai/"), "{some}");

    let shown = home.ok(&["prices", "show", "example/echo-1"]);
    for text in [
        "example/echo-1 by example/*, from 2020-01-01",
        "book mine (the contract of May)",
        "100000",
        "mine:example/*@2020-01-01#flex",
        "$0.01 a request",
    ] {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }
    let shown = home.json(&["prices", "show", "example/echo-1", "--json"]);
    assert_eq!(
        (&shown[0]["tiers"][0]["tier"], &shown[0]["tiers"][0]["input_pico_usd_per_token"]),
        (&"flex".into(), &500_000_000.into())
    );
    let at = |day: &str| home.ok(&["prices", "show", "deepseek/deepseek-chat", "--at", day]);
    assert!(at("2026-04-23").contains("0.42") && at("2026-04-24").contains("0.28"));
    home.run(&["prices", "show", "nobody/none"]).is_failure(4, "unknown_price");
    home.run(&["prices", "show", "none"]).is_failure(3, "unknown_model");
    assert!(!home.path("data").exists(), "looking makes no database");
}

#[test]
fn a_book_is_checked_without_being_used() {
    let home = priced();
    let book = home.path("prices.toml").display().to_string();
    let checked = home.ok(&["prices", "check", &book]);
    assert!(
        checked.starts_with("book mine is sound: 1 entries, 1 models, the newest from 2020-01-01")
    );
    let json = home.json(&["prices", "check", &book, "--json"]);
    assert_eq!((&json[0]["entries"], &json[0]["tiers"][0]), (&1.into(), &"flex".into()));

    let wrong = home.path("wrong.toml");
    std::fs::write(&wrong, BOOK.replace("output = \"1000\"", "output = \"-1\"")).unwrap();
    let refused = home.run(&["prices", "check", &wrong.display().to_string()]);
    refused.is_failure(2, "invalid_price_book");
    assert!(refused.stderr.contains("example/*: tier.flex.output"), "{refused:?}");
    home.run(&["prices", "check", "/nowhere.toml"]).is_failure(2, "file_unreadable");
}
