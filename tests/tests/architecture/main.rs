//! Who may depend on whom. Arrows only go down; a leaf is known to nobody but the facade.
//!
//! The table below is the rule, in reading order: a row may name only rows above it. A crate that is not in
//! the table fails the test, so that a new one is placed before it is used.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

mod modules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use modules::Module;

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Words,
    Port,
    /// The conductor: knows ports only.
    Conductor,
    /// One backend each: knows ports only, is known to the facade only.
    Leaf,
    Facade,
    App,
    /// Tests and automation: no product code knows them.
    Side,
}

use Floor::{App, Conductor, Facade, Leaf, Port, Side, Words};

/// (crate, floor, our own crates its normal dependencies may be). `PORTS` and `LEAVES` stand for all crates
/// of those floors, words included with the ports.
const TABLE: &[(&str, Floor, &[&str])] = &[
    ("chat-types", Words, &[]),
    ("chat-thread", Port, &["chat-types"]),
    ("chat-tokens", Port, &["chat-types"]),
    ("chat-instructions", Port, &["chat-types"]),
    ("chat-rag", Port, &["chat-types"]),
    ("chat-truncation", Port, &["chat-types"]),
    ("chat-persist", Port, &["chat-types"]),
    ("chat-balance", Port, &["chat-types"]),
    ("chat-transport", Port, &["chat-types"]),
    ("chat-attachments", Port, &["chat-types", "chat-tokens"]),
    ("chat-provider", Port, &["chat-types", "chat-tokens"]),
    ("chat-summarizer", Port, &["chat-types", "chat-tokens", "chat-provider"]),
    ("chat-usage", Port, &["chat-types", "chat-balance"]),
    ("chat-archive", Port, &["chat-types", "chat-persist", "chat-balance", "chat-usage"]),
    (
        "chat-context",
        Port,
        &[
            "chat-types",
            "chat-thread",
            "chat-tokens",
            "chat-instructions",
            "chat-attachments",
            "chat-rag",
            "chat-truncation",
            "chat-summarizer",
        ],
    ),
    (
        "chat-core",
        Conductor,
        &[
            "chat-types",
            "chat-thread",
            "chat-tokens",
            "chat-context",
            "chat-provider",
            "chat-persist",
            "chat-usage",
            "chat-balance",
        ],
    ),
    ("chat-persist-sqlite", Leaf, STORE),
    ("chat-persist-postgres", Leaf, POSTGRES_STORE),
    ("chat-persist-mongo", Leaf, MONGO_STORE),
    ("chat-balance-http", Leaf, &["chat-types", "chat-balance", "chat-transport"]),
    ("chat-webhook", Leaf, &["chat-types", "chat-balance", "chat-transport"]),
    ("chat-provider-openai", Leaf, REMOTE_PROVIDER),
    ("chat-provider-anthropic", Leaf, REMOTE_PROVIDER),
    ("chat-provider-gemini", Leaf, REMOTE_PROVIDER),
    ("chat-provider-local", Leaf, &["chat-types", "chat-tokens", "chat-provider", "chat-rag"]),
    ("chat-provider-example", Leaf, &["chat-types", "chat-tokens", "chat-provider"]),
    ("chat-rag-local", Leaf, &["chat-types", "chat-tokens", "chat-rag"]),
    ("chat-rag-http", Leaf, &["chat-types", "chat-rag", "chat-transport"]),
    ("chat-runtime", Facade, &["PORTS", "chat-core", "LEAVES"]),
    ("chat-server", App, &["PORTS", "chat-core", "chat-runtime"]),
    ("chat-cli", App, &["PORTS", "chat-core", "chat-runtime"]),
    ("chat-testkit", Side, &["PORTS"]),
    ("chat-tests", Side, &["PORTS", "chat-core", "LEAVES", "chat-runtime", "chat-testkit"]),
    ("chat-bench", Side, &["PORTS", "chat-core", "LEAVES", "chat-tests"]),
    ("xtask", Side, &[]),
];

const STORE: &[&str] = &["chat-types", "chat-persist", "chat-balance", "chat-usage"];
/// The PostgreSQL leaf also holds an index of documents.
const POSTGRES_STORE: &[&str] =
    &["chat-types", "chat-persist", "chat-balance", "chat-usage", "chat-rag"];
/// The MongoDB leaf also reads LibreChat's collections as the lines of an archive.
const MONGO_STORE: &[&str] =
    &["chat-types", "chat-persist", "chat-balance", "chat-usage", "chat-archive"];
const REMOTE_PROVIDER: &[&str] = &["chat-types", "chat-tokens", "chat-provider", "chat-transport"];

/// What only leaves may link, by library name; `chat-transport` may link reqwest behind its one feature.
const VENDOR_LIBRARIES: &[&str] = &[
    "sqlx",
    "sqlx_core",
    "libsqlite3_sys",
    "mongodb",
    "reqwest",
    "hyper",
    "candle_core",
    "candle_nn",
    "candle_transformers",
    "tokenizers",
];

/// What every manifest takes from the workspace.
const INHERITED: [&str; 6] =
    ["version", "edition", "rust-version", "license", "repository", "publish"];

/// The rooms of `chat-core`, lowest first: each may name those before it. A room is a folder with the file
/// of its name, or one file alone.
const ROOMS: [&str; 6] = ["money", "events", "inner", "process", "step", "turn"];

struct Member {
    name: String,
    manifest: PathBuf,
    features: Vec<String>,
    /// (kind: normal, dev or build; name) of our own crates it names.
    own: Vec<(String, String)>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).arg("--offline").current_dir(root()).output();
    let output = output.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn members() -> Vec<Member> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let member = |package: &Value| Member {
        name: text(&package["name"]),
        manifest: text(&package["manifest_path"]).into(),
        features: package["features"].as_object().unwrap().keys().cloned().collect(),
        own: list(&package["dependencies"])
            .iter()
            .filter(|dependency| dependency["path"].is_string())
            .map(|dependency| {
                let kind = dependency["kind"].as_str().unwrap_or("normal");
                (kind.to_owned(), text(&dependency["name"]))
            })
            .collect(),
    };
    let members: Vec<Member> = list(&metadata["packages"]).iter().map(member).collect();
    assert!(members.len() > 5, "cargo metadata lists only {} members", members.len());
    members
}

fn row(name: &str) -> (Floor, &'static [&'static str]) {
    let row = TABLE.iter().find(|row| row.0 == name);
    let row = row.unwrap_or_else(|| panic!("{name} has no row in the table of allowed arrows"));
    (row.1, row.2)
}

fn may_name(allowed: &[&str], name: &str) -> bool {
    let floor = row(name).0;
    allowed.contains(&name)
        || (floor <= Port && allowed.contains(&"PORTS"))
        || (floor == Leaf && allowed.contains(&"LEAVES"))
}

/// The libraries that `package` links, by itself or through others; itself included.
fn linked_libraries(package: &str, more: &[&str]) -> Vec<String> {
    let libraries = tree(package, more);
    assert!(libraries.contains(&package.replace('-', "_")), "{package}: {libraries:?}");
    libraries
}

/// What the program `chat` links; a program is no library itself.
fn linked_by_the_program(more: &[&str]) -> Vec<String> {
    let libraries = tree("chat-cli", more);
    assert!(libraries.contains(&"chat_runtime".to_owned()), "{libraries:?}");
    libraries
}

fn tree(package: &str, more: &[&str]) -> Vec<String> {
    let tree = ["tree", "--package", package, "--edges", "normal", "--prefix", "none"];
    let output = cargo(&[&tree[..], &["--format", "{lib}"], more].concat());
    let mut libraries: Vec<String> =
        output.lines().map(|line| line.trim_end_matches(" (*)").trim().to_owned()).collect();
    libraries.sort();
    libraries.dedup();
    libraries
}

fn vendors(libraries: &[String]) -> Vec<&str> {
    let libraries = libraries.iter().map(String::as_str);
    libraries.filter(|library| VENDOR_LIBRARIES.contains(library)).collect()
}

/// What speaks to a database.
fn engines(libraries: &[String]) -> impl Iterator<Item = &str> {
    const ENGINES: [&str; 4] = ["libsqlite3_sys", "mongodb", "sqlx_postgres", "sqlx_sqlite"];
    libraries.iter().map(String::as_str).filter(|library| ENGINES.contains(library))
}

#[test]
fn the_table_only_points_up_and_never_at_a_leaf() {
    for (position, (name, floor, allowed)) in TABLE.iter().enumerate() {
        for other in allowed.iter().filter(|other| !["PORTS", "LEAVES"].contains(*other)) {
            let above = TABLE[..position].iter().find(|row| row.0 == *other);
            let (_, other_floor, _) =
                above.unwrap_or_else(|| panic!("{name}: {other} is not above"));
            assert!(other_floor <= floor, "{name} stands below {other}");
            assert_ne!(*other_floor, Leaf, "{name} names the leaf {other}");
        }
        if matches!(floor, Words | Port | Conductor | Leaf | App) {
            assert!(!allowed.contains(&"LEAVES"), "{name} may not know leaves");
        }
        if *floor == Conductor || *floor == Leaf {
            assert!(allowed.iter().all(|other| row(other).0 <= Port), "{name} knows ports only");
        }
    }
}

#[test]
fn members_name_only_what_the_table_allows() {
    let mut broken = Vec::new();
    for member in members() {
        let (floor, allowed) = row(&member.name);
        for (kind, other) in &member.own {
            let is_allowed = match kind.as_str() {
                "normal" | "build" => may_name(allowed, other),
                // Tests of a crate may also use the ports, the test kit and the fake provider.
                _ => {
                    let other_floor = row(other).0;
                    may_name(allowed, other)
                        || other_floor <= Port
                        || ["chat-testkit", "chat-tests"].contains(&other.as_str())
                        || (other_floor == Leaf && floor == App)
                        // The conductor's own tests drive it with the deterministic provider.
                        || (member.name == "chat-core" && other == "chat-provider-example")
                }
            };
            if !is_allowed {
                broken.push(format!("{} -> {other} ({kind})", member.name));
            }
        }
    }
    assert!(broken.is_empty(), "arrows that must not exist: {broken:#?}");
}

#[test]
fn ports_and_the_conductor_link_no_vendor() {
    let mut found = BTreeMap::new();
    for member in members().iter().filter(|member| row(&member.name).0 <= Conductor) {
        let more: &[&str] =
            if member.name == "chat-transport" { &["--no-default-features"] } else { &[] };
        let libraries = linked_libraries(&member.name, more);
        let vendors: Vec<String> =
            vendors(&libraries).iter().map(|vendor| (*vendor).to_owned()).collect();
        if !vendors.is_empty() {
            found.insert(member.name.clone(), vendors);
        }
    }
    assert_eq!(found, BTreeMap::new());
}

#[test]
fn reqwest_comes_through_the_transports_one_feature() {
    let libraries = linked_libraries("chat-transport", &["--no-default-features"]);
    assert_eq!(vendors(&libraries), [""; 0]);
    let features = ["--no-default-features", "--features", "reqwest"];
    let libraries = linked_libraries("chat-transport", &features);
    assert_eq!(vendors(&libraries), ["hyper", "reqwest"]);
}

#[test]
fn no_sqlite_is_linked_without_its_feature() {
    for (features, driver) in [("mongo,openai", "mongodb"), ("postgres,openai", "sqlx_postgres")] {
        let features = ["--no-default-features", "--features", features];
        let libraries = linked_by_the_program(&features);
        let engines: Vec<&str> = engines(&libraries).collect();
        assert_eq!(engines, [driver], "{features:?}");
    }
}

#[test]
fn the_default_program_links_one_engine() {
    let libraries = linked_by_the_program(&[]);
    let engines: Vec<&str> = engines(&libraries).collect();
    assert_eq!(engines, ["libsqlite3_sys", "sqlx_sqlite"]);
}

#[test]
fn the_conductor_links_no_leaf() {
    let libraries = linked_libraries("chat-core", &[]);
    for (name, floor, _) in TABLE {
        let linked = libraries.contains(&name.replace('-', "_"));
        assert!(!(linked && *floor > Conductor), "chat-core links {name}");
        assert!(!(linked && *name == "chat-transport"), "chat-core links {name}");
    }
}

#[test]
fn the_conductors_rooms_know_only_rooms_below() {
    let floor_of = |module: &Module| ROOMS.iter().position(|room| module.first().unwrap() == room);
    let arrows = modules::arrows(&root().join("crates/chat-core/src"));
    for room in arrows.keys().filter(|module| module.len() > 1) {
        assert!(floor_of(room).is_some(), "{} has no floor in ROOMS", room.join("::"));
    }
    for room in ROOMS {
        assert!(arrows.contains_key(&vec![room.to_owned()]), "there is no room {room}");
    }
    let mut upward = Vec::new();
    for (module, named) in &arrows {
        let Some(floor) = floor_of(module) else { continue };
        let above = named.iter().filter(|named| floor_of(named) > Some(floor));
        upward.extend(above.map(|above| format!("{} -> {}", module.join("::"), above.join("::"))));
    }
    assert!(upward.is_empty(), "a room names one above it: {upward:#?}");
}

#[test]
fn no_file_is_named_by_what_it_names() {
    let mut circles = Vec::new();
    let mut arrows_seen = 0;
    for member in members() {
        let arrows = modules::arrows(&member.manifest.parent().unwrap().join("src"));
        arrows_seen += arrows.values().map(|named| named.len()).sum::<usize>();
        circles
            .extend(modules::circles(&arrows).iter().map(|way| format!("{}: {way}", member.name)));
    }
    assert!(arrows_seen > 1_000, "only {arrows_seen} arrows were seen");
    assert!(circles.is_empty(), "what two files share belongs below both: {circles:#?}");
}

#[test]
fn ports_have_no_features_but_one_library_each() {
    for member in members().iter().filter(|member| row(&member.name).0 <= Conductor) {
        let mut features: Vec<&str> = member.features.iter().map(String::as_str).collect();
        features.retain(|feature| *feature != "default");
        let expected: &[&str] = match member.name.as_str() {
            "chat-transport" => &["reqwest"],
            "chat-attachments" => &["object-store"],
            _ => &[],
        };
        assert_eq!(features, expected, "{}", member.name);
    }
}

#[test]
fn every_member_inherits_lints_and_package_fields() {
    let mut broken = Vec::new();
    for member in members() {
        let manifest = std::fs::read_to_string(&member.manifest).unwrap();
        let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
        if !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]) {
            broken.push(format!("{}: lints", member.name));
        }
        for field in INHERITED {
            if !lines.contains(&format!("{field}.workspace = true").as_str()) {
                broken.push(format!("{}: {field}", member.name));
            }
        }
    }
    assert!(broken.is_empty(), "not inherited from the workspace: {broken:#?}");
}
