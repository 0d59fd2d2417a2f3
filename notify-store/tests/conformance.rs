//! One suite, two databases: every case runs on a fresh store of each.

#[path = "conformance/channels.rs"]
mod channels;
#[path = "conformance/dead_letters.rs"]
mod dead_letters;
#[path = "conformance/decided.rs"]
mod decided;
#[path = "conformance/deliveries.rs"]
mod deliveries;
#[path = "conformance/documents.rs"]
mod documents;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/grouping.rs"]
mod grouping;
#[path = "conformance/history.rs"]
mod history;
#[path = "conformance/inbox.rs"]
mod inbox;
#[path = "conformance/ledger.rs"]
mod ledger;
#[path = "conformance/noise.rs"]
mod noise;
#[path = "conformance/quarantine.rs"]
mod quarantine;
mod support;

use std::future::Future;
use std::pin::Pin;
use support::Fresh;

type Case = (&'static str, fn(Fresh) -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |fresh| Box::pin($module::$name(fresh)))),*]
    };
}

const CASES: &[Case] = cases![
    documents::tenants,
    documents::versions,
    documents::guards,
    documents::pages,
    documents::counts,
    documents::changes,
    documents::changes_of_an_older_store,
    documents::probe,
    events::accepted_and_planned,
    events::pages,
    events::idempotency,
    deliveries::from_intent_to_delivered,
    deliveries::retries_and_dead,
    deliveries::filters,
    deliveries::claiming,
    deliveries::lost_holders,
    deliveries::late_results,
    deliveries::refusals,
    deliveries::leases,
    deliveries::abandoned_claims,
    dead_letters::due_times,
    dead_letters::times_and_tokens,
    dead_letters::dead_letters,
    dead_letters::failing_channels,
    channels::turns,
    channels::giving_back,
    channels::states,
    channels::changed_documents,
    grouping::as_if_one_after_the_other,
    grouping::refused_leaves_nothing,
    grouping::poison_harms_nobody,
    grouping::many_tenants_at_once,
    grouping::large_commits,
    grouping::closing,
    history::by_the_producers_id,
    history::by_time,
    history::decisions,
    ledger::entries_and_head,
    ledger::subtrees,
    ledger::openings,
    ledger::refused_entries,
    noise::states_and_versions,
    noise::rounds,
    noise::timers,
    noise::held_alerts,
    noise::digest_items,
    noise::delivery_that_waits,
    decided::newest_first,
    inbox::items,
    inbox::items_come_with_their_attempt,
    inbox::items_end,
    inbox::opt_outs,
    quarantine::in_and_out,
    quarantine::pages_and_tenants,
];

/// Runs every case, then tells of all that failed.
fn run<F: Future<Output = Fresh>>(fresh: impl Fn() -> F) {
    let runtime = support::runtime();
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let outcome = runtime.block_on(
            tokio::task::LocalSet::new()
                .run_until(async { tokio::task::spawn_local(case(fresh().await)).await }),
        );
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

#[test]
fn on_sqlite() {
    run(support::sqlite);
}

#[test]
fn on_postgres() {
    run(support::postgres);
}
