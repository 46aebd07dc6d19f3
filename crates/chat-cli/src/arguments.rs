//! The command line, as data. Not here: what the environment and the configuration file add.

mod reports;

use std::path::PathBuf;

pub(crate) use reports::{GroupBy, Prices, Reprice, Usage, UsageCommand, UsageRange};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::errors::EXIT_CODES;

/// Talk to a model. Every message is durable before the model is asked, and every reply is metered.
///
/// Without a command: a prompt. The answer goes to stdout, everything about it to stderr.
#[derive(Debug, Parser)]
#[command(name = "chat", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags of every command. A flag wins over the environment, the environment over the file.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The database: sqlite:FILE, postgres://…, mongodb://… or memory: [env: CHAT_STORE]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The configuration file [env: CHAT_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Whose conversations and account; in a LibreChat database an e-mail address will do
    /// [env: CHAT_USER] [default: local-user, or the only user of a LibreChat database]
    #[arg(long, global = true, value_name = "EMAIL|ID")]
    pub(crate) user: Option<String>,
    /// The model, as provider/model or an alias [env: CHAT_MODEL]
    #[arg(long, global = true, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// A price book that is asked before the shipped one [env: CHAT_PRICES]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send one message and print the answer
    Send(Send),
    /// List conversations, newest change first
    List(List),
    /// Print a conversation
    Show(Show),
    /// Draw a conversation with all its branches
    Tree {
        /// The conversation, or the start of its id
        conversation: String,
        /// Show what each reply and each branch cost
        #[arg(long)]
        costs: bool,
    },
    /// Open the prompt on a conversation [default: the newest]
    Resume {
        /// The conversation, or the start of its id
        conversation: Option<String>,
    },
    /// Show what a message would send and cost, without sending it
    Explain(Explain),
    /// Show the accounts that pay, or move credit
    Balance {
        #[command(subcommand)]
        change: Option<BalanceChange>,
        /// Also the account of this conversation, where budgets are per conversation
        #[arg(short, long, value_name = "ID")]
        conversation: Option<String>,
    },
    /// List or sum up what was used and what it cost
    Usage(Usage),
    /// Show what the ledger has to tell: low balances, overruns, refusals; of all users
    Notices(Notices),
    /// Prove the books from their rows
    Audit,
    /// List the models
    Models,
    /// List, show or check prices
    Prices {
        #[command(subcommand)]
        command: Option<Prices>,
    },
    /// Copy a branch into a conversation of its own
    Fork(Fork),
    /// Write what is stored to a file that any store can import
    Export(Export),
    /// Read what was exported, or another program's conversations
    Import(Import),
    /// Summarise a conversation up to its newest message, so that the next turns start from that
    Compact(Compact),
    /// Documents that answers are looked up in
    #[cfg(feature = "rag-local")]
    Rag {
        #[command(subcommand)]
        command: Rag,
    },
    /// Check a truncation policy, or replay a conversation under one
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// Stop a running turn, whichever process runs it
    Stop {
        /// The turn's id
        turn: String,
    },
    /// Finish what a crashed process left behind
    Recover,
    /// Show the configuration in effect, without secrets
    Config {
        /// Print it (the default)
        #[arg(long)]
        print: bool,
    },
    /// Check the setup: what is missing and how to get it
    Doctor,
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The message; `-`, or nothing while stdin is piped, reads stdin
    pub(crate) text: Vec<String>,
    /// Add the text of a file (`-`: stdin); may be repeated
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Attach a file: a document, an image, a recording; may be repeated
    #[arg(short, long = "attach", value_name = "FILE")]
    pub(crate) attachments: Vec<PathBuf>,
    /// Quote an excerpt: the model reads it before the message; may be repeated
    #[arg(long = "quote", value_name = "TEXT")]
    pub(crate) quotes: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Start a new conversation (the default)
    #[arg(long, conflicts_with = "conversation")]
    pub(crate) new: bool,
    /// Ask for the reply in one piece
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Send once, however often this is repeated with the same key
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) wishes: Wishes,
}

/// Where a message goes.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The conversation it belongs to, or the start of its id
    #[arg(short, long, value_name = "ID")]
    pub(crate) conversation: Option<String>,
    /// The message it follows [default: the conversation's newest]
    #[arg(long, value_name = "ID", requires = "conversation")]
    pub(crate) parent: Option<String>,
}

/// What is asked of the model.
#[derive(Debug, Args)]
pub(crate) struct Wishes {
    /// The longest reply, in tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_tokens: Option<u64>,
    /// Sampling temperature
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Standing instructions of a new conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "conversation")]
    pub(crate) instructions: Option<String>,
    /// Keep this message in the prompt also where it is older than the cut; may be repeated
    #[arg(long = "pin", value_name = "MSG", requires = "conversation")]
    pub(crate) pins: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most this many
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Only those whose title holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The conversation, or the start of its id
    pub(crate) conversation: String,
    /// The branch that ends at this message [default: the newest]
    #[arg(long, value_name = "MSG")]
    pub(crate) at: Option<String>,
    /// Show what each message and the branch cost
    #[arg(long)]
    pub(crate) costs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The message
    #[arg(required = true)]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) wishes: Wishes,
}

#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// The conversation, or the start of its id
    pub(crate) conversation: String,
    /// The newest message it covers [default: the conversation's newest]
    #[arg(long, value_name = "MSG")]
    pub(crate) at: Option<String>,
    /// Read everything again instead of going on from the summary before
    #[arg(long)]
    pub(crate) anew: bool,
}

#[cfg(feature = "rag-local")]
#[derive(Debug, Subcommand)]
pub(crate) enum Rag {
    /// Read documents and index them; one that was added before is replaced
    Add {
        /// Files, and folders with all that is in them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The group they belong to
        #[arg(long, value_name = "NAME")]
        collection: Option<String>,
    },
    /// List the documents
    List,
    /// Remove documents
    Remove {
        /// Their ids, as `list` shows them
        #[arg(required = true, value_name = "ID")]
        documents: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Check a policy file: TOML, or JSON if its name ends so
    Check {
        /// The file
        file: PathBuf,
    },
    /// What each turn of a conversation would have sent, lost and cost, as configured and under the
    /// policy of a file; calls nobody
    Simulate {
        /// The conversation, or the start of its id
        conversation: String,
        /// The policy to compare with
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The branch that ends at this message [default: the newest]
        #[arg(long, value_name = "MSG")]
        at: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BalanceChange {
    /// Add credit
    Grant {
        #[command(flatten)]
        credit: CreditArguments,
        /// What is left then runs out: days from now
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
        /// Lower burns first; money without any is 100
        #[arg(long, value_name = "0-255")]
        priority: Option<u8>,
    },
    /// Give back what was charged
    Refund(CreditArguments),
    /// Charge what an estimate took too little
    Adjust(CreditArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CreditArguments {
    /// How much: US dollars, or a whole number where the account counts requests or tokens
    pub(crate) amount: String,
    /// Names it: the same key counts once
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    /// The account, if more than one pays; the first that counts dollars
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Notices {
    /// At most this many, oldest first
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "follow")]
    pub(crate) limit: u32,
    /// Take them: once they are printed they are not shown or delivered again
    #[arg(long)]
    pub(crate) take: bool,
    /// Go on until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Fork {
    /// The conversation, or the start of its id
    pub(crate) conversation: String,
    /// The last message of the copied branch
    #[arg(long, value_name = "MSG")]
    pub(crate) at: String,
    /// What is copied
    #[arg(long, value_enum, default_value_t = ForkScope::Path)]
    pub(crate) scope: ForkScope,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Everything of all users, with the ledger and the usage rows
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Import {
    /// What `chat export` wrote (`-`: stdin)
    #[arg(value_name = "FILE", required = true)]
    pub(crate) file: Option<PathBuf>,
    /// Read and count, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave accounts, holds and entries out
    #[arg(long)]
    pub(crate) without_ledger: bool,
    #[command(subcommand)]
    pub(crate) source: Option<ImportSource>,
}

/// Where an import comes from, if not from a file.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// Conversations, files' metadata, transactions and balances of a LibreChat database
    Librechat(LibreChat),
}

#[derive(Debug, Args)]
pub(crate) struct LibreChat {
    /// LibreChat's database
    #[arg(long, value_name = "URL")]
    pub(crate) from: String,
    /// The store that gets them [default: the one of --store]
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Read and count, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave balances out
    #[arg(long)]
    pub(crate) without_ledger: bool,
}

/// What a fork copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForkScope {
    /// The branch alone
    Path,
    /// The branch and what hangs on it
    Branches,
    /// Everything down to the message's level
    Level,
}
