//! The names of the collections: LibreChat's own, and ours beside them.

/// LibreChat's conversations.
pub(crate) const CONVERSATIONS: &str = "conversations";
/// LibreChat's messages.
pub(crate) const MESSAGES: &str = "messages";
/// LibreChat's files: metadata, never bytes.
pub(crate) const FILES: &str = "files";
/// LibreChat's users; read, never written.
pub(crate) const USERS: &str = "users";
/// LibreChat's spending; read by an import only.
pub(crate) const TRANSACTIONS: &str = "transactions";
/// LibreChat's balances; read by an import only.
pub(crate) const BALANCES: &str = "balances";
/// The turn journal, one document per turn with its steps.
pub(crate) const TURNS: &str = "runtime_turns";
/// The event log, one document per segment.
pub(crate) const EVENTS: &str = "runtime_events";
/// Leases, one document per process.
pub(crate) const OWNERS: &str = "runtime_owners";
/// Accounts of the ledger.
pub(crate) const ACCOUNTS: &str = "runtime_accounts";
/// Holds of the ledger.
pub(crate) const HOLDS: &str = "runtime_holds";
/// Entries of the ledger, append-only.
pub(crate) const ENTRIES: &str = "runtime_entries";
/// Notices of the ledger, until they are delivered or too old.
pub(crate) const NOTICES: &str = "runtime_notices";
/// Usage rows, append-only.
pub(crate) const USAGE: &str = "runtime_usage";
/// Where work that goes on over several runs stands, one document each.
pub(crate) const COUNTERS: &str = "runtime_counters";
