//! The engines: a fresh database on each, dropped at the end, and what an intruder or an onlooker does to it
//! with a tool that is not ours.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use mongodb::bson::{Document, doc};
use sqlx::{Connection, PgConnection, Row};
use tokio::runtime::Runtime;

/// One that the suite runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A database of a server.
    Postgres,
    /// A database of a replica set.
    Mongo,
}

/// Makes one test per engine of functions that take an [`Engine`].
#[macro_export]
macro_rules! on_every_engine {
    ($($promise:ident),+ $(,)?) => {
        $crate::on_every_engine!(@engine sqlite, Sqlite, $($promise)+);
        $crate::on_every_engine!(@engine postgres, Postgres, $($promise)+);
        $crate::on_every_engine!(@engine mongo, Mongo, $($promise)+);
    };
    (@engine $name:ident, $engine:ident, $($promise:ident)+) => {
        mod $name {
            $(
                #[test]
                fn $promise() {
                    super::$promise($crate::scene::Engine::$engine);
                }
            )+
        }
    };
}

/// A fresh database; gone when dropped.
#[derive(Debug)]
pub struct Database {
    /// What it runs on.
    pub engine: Engine,
    /// As the configuration names it.
    pub url: String,
    name: String,
    server: String,
    runtime: Mutex<Runtime>,
}

/// Where an account's posted amount, an entry or a usage row can be found by an intruder.
#[derive(Debug, Clone, Copy)]
pub enum Tampered<'a> {
    /// The entry of this reference gets one nano-USD more.
    Entry(&'a str),
    /// The usage rows of this turn get one nano-USD less.
    Usage(&'a str),
}

impl Database {
    /// In `folder`, or on the server that the environment names.
    #[must_use]
    pub fn fresh(engine: Engine, folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let random: String = std::iter::repeat_with(fastrand::lowercase).take(12).collect();
        let name = format!("scene_{random}");
        let (server, url) = match engine {
            Engine::Sqlite => {
                let file = folder.join("chat.db").display().to_string();
                (file.clone(), format!("sqlite:{file}"))
            }
            Engine::Postgres => {
                let server = server("CHAT_TEST_POSTGRES_URL");
                runtime.block_on(postgres(&server, &format!("CREATE DATABASE {name}")));
                let (address, _database) = server.rsplit_once('/').unwrap();
                let url = format!("{address}/{name}");
                (server, url)
            }
            Engine::Mongo => {
                let server = server("CHAT_TEST_MONGO_URL");
                let (address, query) = server.split_once('?').unwrap_or((&server, ""));
                // Its clients carry its name, so that an onlooker can tell their transactions.
                let address = address.trim_end_matches('/');
                let url = format!("{address}/{name}?{query}&appName={name}");
                (server, url.replace("?&", "?"))
            }
        };
        Self { engine, url, name, server, runtime: Mutex::new(runtime) }
    }

    /// Changes an amount as an intruder would.
    pub fn tamper(&self, what: Tampered<'_>) {
        match self.engine {
            Engine::Sqlite => {
                let statements = statements(what).join(";");
                let output = self.python(EXECUTE, &statements);
                assert!(output.status.success(), "{}", super::told(&output));
            }
            Engine::Postgres => {
                let work = async {
                    for statement in statements(what) {
                        postgres(&self.url, &statement).await;
                    }
                };
                self.runtime.lock().unwrap().block_on(work);
            }
            Engine::Mongo => {
                let (collection, filter, change) = match what {
                    Tampered::Entry(reference) => {
                        ("runtime_entries", doc! { "_id.reference": reference }, 1_i64)
                    }
                    Tampered::Usage(turn) => ("runtime_usage", doc! { "_id.turn": turn }, -1_i64),
                };
                let work = async {
                    let rows = self.mongo().await.collection::<Document>(collection);
                    let change = doc! { "$inc": { "amount": change } };
                    let changed = rows.update_many(filter, change).await.unwrap();
                    assert!(changed.modified_count > 0, "no row of {collection} was changed");
                };
                self.runtime.lock().unwrap().block_on(work);
            }
        }
    }

    /// From now on the database refuses every change of this account's row.
    pub fn refuse_changes_of(&self, account: &str) {
        match self.engine {
            Engine::Sqlite => {
                let statement = format!(
                    "CREATE TRIGGER refused BEFORE UPDATE ON accounts WHEN NEW.id = '{account}' \
                     BEGIN SELECT RAISE(ABORT, 'refused on purpose'); END"
                );
                let output = self.python(EXECUTE, &statement);
                assert!(output.status.success(), "{}", super::told(&output));
            }
            Engine::Postgres => self.runtime.lock().unwrap().block_on(async {
                let function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                     $$ BEGIN RAISE EXCEPTION 'refused on purpose'; END $$";
                postgres(&self.url, function).await;
                let trigger = format!(
                    "CREATE TRIGGER refused BEFORE UPDATE ON accounts FOR EACH ROW \
                     WHEN (NEW.id = '{account}') EXECUTE FUNCTION refuse()"
                );
                postgres(&self.url, &trigger).await;
            }),
            Engine::Mongo => self.refuse(doc! { "_id.account": { "$ne": account } }),
        }
    }

    /// The database takes every change again.
    pub fn allow_changes(&self) {
        match self.engine {
            Engine::Sqlite => {
                let output = self.python(EXECUTE, "DROP TRIGGER refused");
                assert!(output.status.success(), "{}", super::told(&output));
            }
            Engine::Postgres => self.runtime.lock().unwrap().block_on(async {
                postgres(&self.url, "DROP FUNCTION refuse() CASCADE").await;
            }),
            Engine::Mongo => self.refuse(doc! {}),
        }
    }

    /// Accounts that this does not find cannot be written.
    fn refuse(&self, validator: Document) {
        self.runtime.lock().unwrap().block_on(async {
            let command = doc! { "collMod": "runtime_accounts", "validator": validator };
            self.mongo().await.run_command(command).await.unwrap();
        });
    }

    /// Whether nobody holds a lock or has a transaction open at this moment.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        match self.engine {
            Engine::Sqlite => {
                let output = self.python(TRY_LOCK, "BEGIN IMMEDIATE");
                let said = String::from_utf8_lossy(&output.stderr);
                let is_locked = said.contains("database is locked");
                assert!(output.status.success() || is_locked, "{}", super::told(&output));
                !is_locked
            }
            Engine::Postgres => {
                let open = self.runtime.lock().unwrap().block_on(async {
                    let mut connection = PgConnection::connect(&self.url).await.unwrap();
                    let open = sqlx::query(OPEN_TRANSACTIONS).fetch_one(&mut connection).await;
                    connection.close().await.unwrap();
                    open.unwrap().get::<i64, _>(0)
                });
                open == 0
            }
            Engine::Mongo => self.runtime.lock().unwrap().block_on(async {
                let client = mongodb::Client::with_uri_str(&self.url).await.unwrap();
                let operations = doc! { "$currentOp": { "allUsers": true, "idleSessions": true } };
                let of_transactions = doc! { "$match": {
                    "transaction": { "$exists": true },
                    "appName": &self.name,
                } };
                let admin = client.database("admin");
                let mut open = admin.aggregate([operations, of_transactions]).await.unwrap();
                !open.advance().await.unwrap()
            }),
        }
    }

    async fn mongo(&self) -> mongodb::Database {
        mongodb::Client::with_uri_str(&self.url).await.unwrap().database(&self.name)
    }

    fn python(&self, script: &str, statements: &str) -> Output {
        Command::new("python3")
            .args(["-c", script, &self.server, statements])
            .output()
            .unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let runtime = self.runtime.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match self.engine {
            Engine::Sqlite => {}
            Engine::Postgres => {
                let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
                runtime.block_on(async {
                    // A panic here would hide the test's own.
                    match PgConnection::connect(&self.server).await {
                        Ok(mut server) => {
                            let dropped = sqlx::query(sqlx::AssertSqlSafe(drop));
                            if let Err(error) = dropped.execute(&mut server).await {
                                println!("database {} stays behind: {error}", self.name);
                            }
                        }
                        Err(error) => println!("database {} stays behind: {error}", self.name),
                    }
                });
            }
            Engine::Mongo => runtime.block_on(async {
                if let Err(error) = self.mongo().await.drop().await {
                    println!("database {} stays behind: {error}", self.name);
                }
            }),
        }
    }
}

const EXECUTE: &str = "import sqlite3, sys\n\
    db = sqlite3.connect(sys.argv[1], timeout=5)\n\
    db.executescript(sys.argv[2])\n\
    db.commit()\n";

const TRY_LOCK: &str = "import sqlite3, sys\n\
    db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n\
    db.execute(sys.argv[2])\n\
    db.execute('ROLLBACK')\n";

const OPEN_TRANSACTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE \
    datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";

/// The same words on both SQL engines, but for the trigger that guards the entries.
fn statements(what: Tampered<'_>) -> Vec<String> {
    match what {
        Tampered::Entry(reference) => vec![
            "DROP TRIGGER entries_are_never_changed".to_owned(),
            format!("UPDATE entries SET amount = amount + 1 WHERE reference = '{reference}'"),
        ],
        Tampered::Usage(turn) => {
            vec![format!("UPDATE usage SET amount = amount - 1 WHERE turn = '{turn}'")]
        }
    }
}

fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set; run `cargo xtask services up`"))
}

async fn postgres(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query("SET search_path TO chat").execute(&mut connection).await.unwrap();
    // PostgreSQL's only other difference: a trigger is dropped from its table.
    let statement = match statement.strip_prefix("DROP TRIGGER ") {
        Some(trigger) => format!("DROP TRIGGER {trigger} ON entries"),
        None => statement.to_owned(),
    };
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
    connection.close().await.unwrap();
    done.unwrap();
}
