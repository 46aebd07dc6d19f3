//! `PortCall`: the name of every call of every port.

use std::fmt;
use std::str::FromStr;

macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident $name:literal $is_write:literal,)+) => {
        /// One method of a port.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum PortCall {
            $($(#[$doc])* $call,)+
        }

        impl PortCall {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$call,)+];

            /// The method's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$call => $name,)+ }
            }

            /// Something may be written.
            #[must_use]
            pub const fn is_write(self) -> bool {
                match self { $(Self::$call => $is_write,)+ }
            }
        }
    };
}

calls! {
    /// `PersistenceAdapter::conversation`
    Conversation "conversation" false,
    /// `PersistenceAdapter::conversations`
    Conversations "conversations" false,
    /// `PersistenceAdapter::patch_conversation`
    PatchConversation "patch_conversation" true,
    /// `PersistenceAdapter::delete_conversation`
    DeleteConversation "delete_conversation" true,
    /// `PersistenceAdapter::message`
    Message "message" false,
    /// `PersistenceAdapter::branch`
    Branch "branch" false,
    /// `PersistenceAdapter::messages`
    Messages "messages" false,
    /// `PersistenceAdapter::import`
    Import "import" true,
    /// `PersistenceAdapter::keep_token_counts`
    KeepTokenCounts "keep_token_counts" true,
    /// `PersistenceAdapter::keep_summary`
    KeepSummary "keep_summary" true,
    /// `PersistenceAdapter::delete_subtree`
    DeleteSubtree "delete_subtree" true,
    /// `PersistenceAdapter::accept`
    Accept "accept" true,
    /// `PersistenceAdapter::turn`
    Turn "turn" false,
    /// `PersistenceAdapter::open_step`
    OpenStep "open_step" true,
    /// `PersistenceAdapter::dispatch`
    Dispatch "dispatch" true,
    /// `PersistenceAdapter::checkpoint`
    Checkpoint "checkpoint" true,
    /// `PersistenceAdapter::close_step`
    CloseStep "close_step" true,
    /// `PersistenceAdapter::close_turn`
    CloseTurn "close_turn" true,
    /// `PersistenceAdapter::events`
    Events "events" false,
    /// `PersistenceAdapter::request_stop`
    RequestStop "request_stop" true,
    /// `PersistenceAdapter::keep_files`
    KeepFiles "keep_files" true,
    /// `PersistenceAdapter::files`
    Files "files" false,
    /// `Maintenance::heartbeat`
    Heartbeat "heartbeat" true,
    /// `Maintenance::retire`
    Retire "retire" true,
    /// `Maintenance::stop_flags`
    StopFlags "stop_flags" false,
    /// `Maintenance::lapsed_turns`
    LapsedTurns "lapsed_turns" false,
    /// `Maintenance::take_over`
    TakeOver "take_over" true,
    /// `Maintenance::unsettled_steps`
    UnsettledSteps "unsettled_steps" false,
    /// `Maintenance::mark_settled`
    MarkSettled "mark_settled" true,
    /// `Maintenance::step`
    Step "step" false,
    /// `Maintenance::sweep`
    Sweep "sweep" true,
    /// `Maintenance::scan_steps`
    ScanSteps "scan_steps" false,
    /// `Maintenance::scan_conversations`
    ScanConversations "scan_conversations" false,
    /// `Maintenance::scan_files`
    ScanFiles "scan_files" false,
    /// `Maintenance::scan_turns`
    ScanTurns "scan_turns" false,
    /// `Maintenance::restore_turns`
    RestoreTurns "restore_turns" true,
    /// `BalanceAdapter::open_account`
    OpenAccount "open_account" true,
    /// `BalanceAdapter::account`
    Account "account" false,
    /// `BalanceAdapter::refresh`
    Refresh "refresh" true,
    /// `BalanceAdapter::credit`
    Credit "credit" true,
    /// `BalanceAdapter::hold`
    Hold "hold" true,
    /// `BalanceAdapter::extend`
    Extend "extend" true,
    /// `BalanceAdapter::settle`
    Settle "settle" true,
    /// `BalanceAdapter::release`
    Release "release" true,
    /// `BalanceAdapter::hold_of`
    HoldOf "hold_of" false,
    /// `LedgerMaintenance::open_holds`
    OpenHolds "open_holds" false,
    /// `LedgerMaintenance::scan_accounts`
    ScanAccounts "scan_accounts" false,
    /// `LedgerMaintenance::scan_holds`
    ScanHolds "scan_holds" false,
    /// `LedgerMaintenance::scan_entries`
    ScanEntries "scan_entries" false,
    /// `LedgerMaintenance::restore`
    RestoreLedger "restore_ledger" true,
    /// `LedgerMaintenance::notices`
    Notices "notices" false,
    /// `LedgerMaintenance::delivered`
    Delivered "delivered" true,
    /// `LedgerMaintenance::expire_notices`
    ExpireNotices "expire_notices" true,
    /// `UsageStore::record`
    RecordUsage "record_usage" true,
    /// `UsageStore::rows`
    UsageRows "usage_rows" false,
    /// `UsageStore::scan_rows`
    ScanUsage "scan_usage" false,
}

impl fmt::Display for PortCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PortCall {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|call| call.name() == name).ok_or(())
    }
}
