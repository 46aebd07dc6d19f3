//! What `UsageStore` promises, one function per promise.
//!
//! Each case gets a fresh, empty store. The macro lists every case.

pub mod rows;

/// Emits one test per promise of a store of usage rows. The argument is an expression whose value
/// is a future of a fresh [`UsageHarness`](crate::UsageHarness); it is evaluated once per test.
#[macro_export]
macro_rules! usage_suite {
    ($open:expr) => {
        mod usage_conformance {
            use super::*;
            $crate::conformance_cases! { usage, $open;
                rows {
                    every_field_round_trips,
                    a_row_is_written_once,
                    steps_and_attempts_are_apart,
                    no_rows_write_nothing,
                    rows_come_in_the_order_written,
                    rows_are_read_by_conversation_and_time,
                    pages_follow_each_other,
                    pages_are_bounded,
                    reading_after_an_unknown_row_reads_nothing,
                    imported_rows_say_so,
                    one_key_twice_in_one_call_is_one_row,
                    rows_are_only_appended,
                    strangers_read_nothing,
                    tenants_are_apart,
                    scan_pages_through_all_scopes,
                    parallel_repeats_are_one_write,
                    dropped_call_leaves_store_healthy,
                }
            }
        }
    };
}
