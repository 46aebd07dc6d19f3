//! The arguments of the commands that only add up: `usage` and `prices`.

use std::path::PathBuf;

use chat_runtime::types::Timestamp;
use clap::{Args, Subcommand, ValueEnum};

use crate::render::day_start;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Usage {
    #[command(flatten)]
    pub(crate) range: UsageRange,
    /// Only this conversation
    #[arg(short, long, value_name = "ID", conflicts_with = "all_users")]
    pub(crate) conversation: Option<String>,
    /// Sum up instead of listing every call
    #[arg(long, value_enum, value_name = "GROUP")]
    pub(crate) by: Option<GroupBy>,
    /// Print comma-separated values, safe to open in a spreadsheet
    #[arg(long)]
    pub(crate) csv: bool,
    /// Draw the cost of each group as a bar
    #[arg(long, requires = "by", conflicts_with = "csv")]
    pub(crate) chart: bool,
    #[command(subcommand)]
    pub(crate) command: Option<UsageCommand>,
}

/// Which rows.
#[derive(Debug, Args)]
pub(crate) struct UsageRange {
    /// From the start of this day on, UTC
    #[arg(long, value_name = "DATE", value_parser = day_start)]
    pub(crate) from: Option<Timestamp>,
    /// Up to but without this day, UTC
    #[arg(long, value_name = "DATE", value_parser = day_start)]
    pub(crate) until: Option<Timestamp>,
    /// Of every user, not only of one's own
    #[arg(long)]
    pub(crate) all_users: bool,
}

/// What calls are summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupBy {
    /// Days, UTC
    Day,
    /// Users; all of them with --all-users
    User,
    /// Models
    Model,
    /// Conversations
    Conversation,
    /// What the calls were for
    Purpose,
}

impl GroupBy {
    /// The word on the command line and in the output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::User => "user",
            Self::Model => "model",
            Self::Conversation => "conversation",
            Self::Purpose => "purpose",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsageCommand {
    /// What the price book in effect would have made of the calls that were charged already
    ///
    /// Name another book with --prices. Nothing is ever written: what was charged stays charged.
    Reprice(Reprice),
}

#[derive(Debug, Args)]
pub(crate) struct Reprice {
    /// Work it out and show it; there is no other way
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) range: UsageRange,
}

impl Usage {
    /// Whether it looks at the rows of other users too.
    pub(crate) fn is_of_all_users(&self) -> bool {
        match &self.command {
            Some(UsageCommand::Reprice(reprice)) => reprice.range.all_users,
            None => self.range.all_users,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Prices {
    /// List the prices, overrides first (the default)
    List {
        /// Only those whose model name holds this text
        filter: Option<String>,
    },
    /// Show what applies to a model, with all its tiers
    Show {
        /// The model, as provider/model or an alias
        #[arg(value_name = "MODEL")]
        name: String,
        /// The prices of this day, UTC [default: now]
        #[arg(long, value_name = "DATE", value_parser = day_start)]
        at: Option<Timestamp>,
    },
    /// Read a price book: what it holds, or what is wrong with it
    Check {
        /// The book
        file: PathBuf,
    },
}
