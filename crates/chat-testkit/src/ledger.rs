//! What `BalanceAdapter` and `LedgerMaintenance` promise, one function per promise.
//!
//! Each case gets a fresh, empty ledger. The macro lists every case. Books are checked from the
//! rows themselves, not with the ledger's own audit.

pub mod accounts;
pub mod concurrency;
pub mod grants;
pub mod holds;
pub mod isolation;
pub mod notices;
pub mod quotas;
pub mod refills;
pub mod restore;
pub mod settling;
pub mod upkeep;

mod books;

/// Emits one test per promise of a ledger. The argument is an expression whose value is a future
/// of a fresh [`LedgerHarness`](crate::LedgerHarness); it is evaluated once per test.
#[macro_export]
macro_rules! ledger_suite {
    ($open:expr) => {
        mod ledger_conformance {
            use super::*;
            $crate::conformance_cases! { ledger, $open;
                accounts {
                    opening_writes_the_account_and_its_grant,
                    opening_with_nothing_has_no_entry,
                    opening_again_changes_nothing,
                    opening_a_taken_id_is_a_conflict,
                    negative_opening_is_refused,
                    shared_accounts_are_found_in_their_tenant,
                    credits_add_up,
                    credit_again_is_one_credit,
                    credit_key_with_another_amount_is_a_conflict,
                    bad_credits_are_refused,
                }
                holds {
                    hold_reserves,
                    hold_again_is_one_hold,
                    hold_again_after_its_end_changes_nothing,
                    hold_over_other_accounts_is_a_conflict,
                    hold_shrinks_down_to_its_floor,
                    hold_below_its_floor_is_refused,
                    refused_hold_succeeds_after_a_grant,
                    hold_takes_all_legs_or_none,
                    bad_holds_are_refused,
                    unlimited_accounts_hold_and_post,
                    extend_reserves_more_once_per_attempt,
                    extend_takes_all_legs_or_none,
                    extend_needs_an_open_hold,
                    the_largest_amounts_fit,
                }
                settling {
                    settle_posts_and_gives_back,
                    settle_posts_attempt_by_attempt,
                    settle_beyond_the_hold_is_an_overrun,
                    settle_posts_on_every_leg,
                    settle_again_gives_the_first_result,
                    bad_settlements_are_refused,
                    release_gives_everything_back,
                    a_hold_is_resolved_in_one_way,
                    books_hold_after_every_operation,
                }
                grants {
                    lots_burn_by_priority_then_expiry_then_age,
                    plain_money_burns_between_its_neighbours,
                    a_lot_runs_out_once,
                    what_is_held_outlives_its_expiry,
                    a_released_lot_comes_back_or_runs_out,
                    extensions_and_overruns_burn_lots,
                    time_does_not_go_back,
                    what_is_no_grant_has_no_expiry,
                    an_account_takes_so_many_lots,
                    an_adjustment_is_a_late_overrun,
                    parallel_holds_share_a_lot_and_its_expiry,
                }
                refills {
                    add_gives_every_period_that_has_begun,
                    reset_makes_the_balance,
                    reset_leaves_what_is_held,
                    the_period_of_the_opening_is_filled,
                    a_plan_that_comes_later_fills_its_first_period,
                    a_due_refill_is_given_once_under_any_concurrency,
                    a_hold_is_refilled_first,
                    a_refusal_says_when_it_is_refilled,
                }
                quotas {
                    each_leg_counts_in_its_own_unit,
                    a_full_quota_refuses_the_whole_hold,
                    a_quota_is_refilled_apart_from_the_money,
                    an_extension_is_one_request_more,
                }
                isolation {
                    strangers_read_nothing,
                    strangers_spend_nothing,
                    strangers_move_no_hold,
                    holds_on_shared_accounts_are_their_users,
                    equal_names_of_two_tenants_are_two_things,
                }
                upkeep {
                    open_holds_come_oldest_first,
                    scan_pages_through_all_accounts,
                    scan_pages_through_all_holds,
                    entries_are_only_appended,
                }
                restore {
                    restored_rows_round_trip,
                    no_rows_restore_nothing,
                    restoring_again_changes_nothing,
                    a_ledger_comes_in_pieces,
                    another_account_of_one_name_is_a_conflict,
                    another_row_of_one_key_is_a_conflict,
                    restored_keys_are_apart_by_tenant_and_kind,
                    a_restored_ledger_goes_on,
                    a_restored_hold_is_resolved_once,
                    restored_entries_come_behind,
                    parallel_restores_are_one,
                }
                concurrency {
                    parallel_holds_never_exceed_the_balance,
                    parallel_shrinking_holds_share_what_there_is,
                    parallel_holds_in_either_order_do_not_deadlock,
                    parallel_repeats_of_a_hold_are_one,
                    parallel_extensions_for_one_attempt_are_one,
                    parallel_settles_post_once,
                    parallel_settle_and_release_have_one_winner,
                    parallel_credits_count_once,
                    dropped_call_leaves_ledger_healthy,
                }
            }
        }
    };
}

/// Emits one test per promise about notices, for a ledger that keeps its own. One that tells its
/// listeners itself has none and does not run this.
#[macro_export]
macro_rules! notices_suite {
    ($open:expr) => {
        mod notices_conformance {
            use super::*;
            $crate::conformance_cases! { ledger, $open;
                notices {
                    an_overrun_leaves_one_notice,
                    what_is_as_planned_leaves_no_notice,
                    a_refused_hold_leaves_its_notice,
                    a_refused_extension_leaves_its_notice,
                    bad_calls_leave_no_notice,
                    a_low_balance_is_told_once_per_crossing,
                    a_credit_before_the_settlement_counts,
                    a_hold_says_what_is_low,
                    an_unlimited_account_is_never_low,
                    a_refused_hold_tells_nothing_of_its_other_accounts,
                    repeated_calls_leave_one_notice,
                    delivered_notices_do_not_come_back,
                    notices_come_oldest_first,
                    old_notices_expire,
                    parallel_crossings_leave_one_notice,
                    parallel_refusals_of_a_hold_leave_one_notice,
                    a_restored_ledger_remembers_what_was_told,
                }
            }
        }
    };
}
