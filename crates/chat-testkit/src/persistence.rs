//! What `PersistenceAdapter` and `Maintenance` promise, one function per promise.
//!
//! Each case gets a fresh, empty store. The themes are the modules; the macro lists every case.

pub mod concurrency;
pub mod conversations;
pub mod ends;
pub mod events;
pub mod fencing;
pub mod files;
pub mod isolation;
pub mod leases;
pub mod messages;
pub mod restore;
pub mod steps;
pub mod turns;
pub mod upkeep;
pub mod values;

/// Emits one test per promise of a store. The argument is an expression whose value is a future of
/// a fresh [`Harness`](crate::Harness); it is evaluated once per test.
#[macro_export]
macro_rules! persistence_suite {
    ($open:expr) => {
        mod persistence_conformance {
            use super::*;
            $crate::conformance_cases! { persistence, $open;
                conversations {
                    unknown_conversation_is_none,
                    accept_creates_the_conversation,
                    every_conversation_field_round_trips,
                    patch_sets_unsets_and_keeps,
                    empty_patch_changes_nothing,
                    patch_of_nothing_is_not_found,
                    patch_refuses_a_foreign_head,
                    listing_is_newest_change_first,
                    listing_pages_without_gap_or_repeat,
                    title_search_is_literal,
                    archived_are_listed_apart,
                    delete_removes_everything_of_it,
                    delete_of_nothing_is_false,
                    delete_is_refused_while_a_turn_runs,
                    delete_is_refused_until_steps_are_settled,
                }
                messages {
                    message_is_read_in_its_conversation,
                    branch_reads_from_head_to_root,
                    branch_leaves_siblings_out,
                    branch_page_is_as_long_as_asked,
                    branch_pages_join_to_the_whole,
                    branch_of_a_foreign_head_is_not_found,
                    messages_page_in_written_order,
                    messages_of_nothing_are_an_empty_page,
                    import_refuses_a_child_before_its_parent,
                    import_refuses_a_parent_of_another_conversation,
                    import_again_adds_only_what_is_new,
                    import_keeps_the_conversation_that_is_there,
                    import_refuses_a_taken_id,
                    token_counts_are_kept_once,
                    import_again_keeps_token_counts,
                    a_summary_is_kept_with_its_message,
                    another_summary_takes_its_place,
                    a_summary_of_nothing_is_not_found,
                    a_summary_comes_with_its_message,
                    import_again_keeps_the_summary_that_is_there,
                    import_again_brings_a_missing_summary,
                    a_summary_goes_with_its_message,
                    delete_subtree_moves_the_head_up,
                    delete_subtree_leaves_a_head_beside_it,
                    delete_subtree_of_nothing_is_zero,
                    delete_subtree_is_refused_while_a_turn_writes_below,
                }
                turns {
                    accept_writes_everything,
                    accept_keeps_the_conversation_that_is_there,
                    every_turn_kind_round_trips,
                    same_key_same_request_gives_the_first_turn,
                    same_key_gives_the_turn_that_has_ended,
                    same_key_other_request_is_a_conflict,
                    another_users_key_is_another_key,
                    the_same_turn_again_changes_nothing,
                    parent_must_be_there,
                    parent_of_another_conversation_is_missing,
                    parent_of_another_user_is_missing,
                    unfinished_parent_is_refused,
                    an_existing_message_is_answered_again,
                    only_a_user_message_is_answered_again,
                    taken_ids_are_refused,
                    two_turns_at_once_are_siblings,
                }
                steps {
                    open_step_sets_the_turn_running,
                    open_step_again_changes_nothing,
                    steps_come_in_order_with_their_purpose,
                    the_tier_a_step_asks_for_comes_back,
                    dispatch_counts_attempts,
                    dispatch_refuses_a_missing_attempt,
                    dispatch_refuses_a_closed_step,
                    close_step_settles_or_releases,
                    close_step_again_changes_nothing,
                    close_step_refuses_an_unknown_step,
                    step_amounts_round_trip,
                }
                ends {
                    close_turn_writes_everything,
                    close_turn_without_a_reply_goes_back,
                    close_turn_leaves_a_moved_head,
                    every_end_is_stored,
                    close_turn_refuses_a_forgotten_step,
                    close_turn_takes_closed_steps_as_they_are,
                    close_turn_refuses_a_foreign_reply,
                    close_turn_refuses_what_is_no_end,
                    the_end_is_final,
                    one_of_64_closers_wins,
                }
                fencing {
                    take_over_raises_the_epoch,
                    take_over_needs_the_epoch_seen,
                    take_over_of_an_ended_turn_is_none,
                    one_of_64_takes_over,
                    old_owner_opens_no_step,
                    old_owner_dispatches_nothing,
                    old_owner_appends_no_events,
                    old_owner_closes_no_step,
                    old_owner_ends_nothing,
                    an_epoch_from_nowhere_is_fenced,
                    new_owner_goes_on,
                }
                events {
                    log_replays_in_order,
                    reading_goes_on_after_what_was_seen,
                    pages_join_to_the_whole_log,
                    checkpoint_again_changes_nothing,
                    gaps_are_refused,
                    first_delta_sets_the_step_streaming,
                    checkpoint_tells_of_a_stop,
                    ended_log_has_the_last_event,
                    events_of_nothing_are_not_found,
                    expired_log_says_so,
                    payloads_round_trip_exactly,
                }
                leases {
                    turns_without_a_lease_have_lapsed,
                    a_lease_protects_until_it_ends,
                    retiring_ends_a_lease,
                    the_new_owners_lease_counts,
                    take_over_leaves_a_living_owner_its_turns,
                    only_running_turns_lapse,
                    a_stop_reaches_the_owner,
                    a_stop_follows_the_takeover,
                    a_stop_after_the_end_says_how_it_ended,
                    a_stop_of_nothing_is_not_found,
                }
                upkeep {
                    unsettled_steps_are_found,
                    unsettled_steps_of_running_turns_are_found,
                    mark_settled_leaves_other_states_alone,
                    mark_settled_keeps_tenants_apart,
                    step_is_read_by_its_key,
                    scan_pages_through_all_steps,
                    sweep_deletes_expired_conversations,
                    sweep_spares_unfinished_business,
                    sweep_takes_no_more_than_asked,
                    sweep_deletes_old_event_logs,
                }
                files {
                    every_file_field_round_trips,
                    files_come_in_the_order_asked,
                    keeping_a_file_again_changes_nothing,
                    another_record_of_one_id_is_a_conflict,
                    files_of_strangers_are_not_found,
                    a_thousand_files_are_one_call,
                    files_outlive_conversations,
                    files_need_no_conversation,
                    parallel_keeps_are_one,
                    scan_pages_through_all_files,
                }
                restore {
                    restored_turns_round_trip,
                    every_end_is_restored,
                    restoring_again_changes_nothing,
                    restoring_again_leaves_settled_steps,
                    restored_settling_steps_are_found,
                    a_running_turn_is_not_restored,
                    a_turn_without_its_conversation_is_not_found,
                    another_turn_of_one_id_is_a_conflict,
                    a_turn_id_of_another_user_is_a_conflict,
                    a_taken_key_is_a_conflict,
                    a_restored_key_gives_the_turn,
                    steps_that_do_not_fit_are_refused,
                    a_restored_log_has_expired,
                    restored_turns_go_with_their_conversation,
                    parallel_restores_are_one,
                    scan_pages_through_all_turns,
                    scan_pages_through_all_conversations,
                    scans_go_on_after_a_deleted_place,
                    import_goes_on_chunk_by_chunk,
                }
                isolation {
                    strangers_read_no_conversation,
                    strangers_change_no_conversation,
                    strangers_read_no_message,
                    strangers_change_no_message,
                    strangers_read_no_turn,
                    strangers_stop_no_turn,
                    strangers_write_to_no_turn,
                    takeovers_name_the_right_scope,
                    equal_ids_of_two_users_are_two_things,
                    scopes_do_not_run_together,
                }
                values {
                    every_content_part_round_trips,
                    every_message_field_round_trips,
                    ids_of_every_shape_work,
                    unicode_round_trips,
                    control_characters_round_trip,
                    a_megabyte_round_trips,
                    titles_take_any_text,
                }
                concurrency {
                    parallel_turns_are_all_there,
                    parallel_accepts_with_one_key_are_one_turn,
                    parallel_repeats_are_one_write,
                    parallel_counts_keep_one,
                    parallel_summaries_keep_one,
                    parallel_imports_are_one,
                    dropped_call_leaves_store_healthy,
                }
            }
        }
    };
}

/// The tests of some themes; no part of the API.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($suite:ident, $open:expr; $($theme:ident { $($case:ident),+ $(,)? })+) => {
        $crate::conformance_cases!(@themes $suite, [$open] $($theme { $($case)+ })+);
    };
    (@themes $suite:ident, [$open:expr]) => {};
    (@themes $suite:ident, [$open:expr] $theme:ident { $($case:ident)+ } $($rest:tt)*) => {
        mod $theme {
            use super::*;
            $(
                #[$crate::private::tokio::test(
                    crate = "chat_testkit::private::tokio",
                    flavor = "multi_thread",
                    worker_threads = 2
                )]
                async fn $case() {
                    let harness = $open.await;
                    $crate::$suite::$theme::$case(&harness.port).await;
                    drop(harness);
                }
            )+
        }
        $crate::conformance_cases!(@themes $suite, [$open] $($rest)*);
    };
}
