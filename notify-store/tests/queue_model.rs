//! Claims, results and leases against a model: random histories on both databases, the same answers as forty lines of
//! plain data.

mod support;

use notify_store::model::{Claimed, DeliveryState, Follows, NewDelivery};
use notify_store::{Guard, Refused, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::time::Duration;
use support::*;

const DELIVERIES: usize = 4;
const LEASE: i64 = 30;

#[derive(Debug, Clone)]
enum Step {
    Create {
        claimed: bool,
    },
    Claim {
        limit: u32,
    },
    /// The claim at this place among all ever made reports.
    Report {
        claim: usize,
        ends: bool,
        keep: bool,
    },
    Void,
    Pass(i64),
    Own {
        holder: usize,
        ttl: bool,
    },
    Disown {
        holder: usize,
    },
    Plan {
        holder: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<bool>().prop_map(|claimed| Step::Create { claimed }),
        4 => (1..3_u32).prop_map(|limit| Step::Claim { limit }),
        6 => (0..12_usize, any::<bool>(), any::<bool>())
            .prop_map(|(claim, ends, keep)| Step::Report { claim, ends, keep }),
        1 => Just(Step::Void),
        3 => (1..25_i64).prop_map(Step::Pass),
        2 => (0..2_usize, any::<bool>()).prop_map(|(holder, ttl)| Step::Own { holder, ttl }),
        1 => (0..2_usize).prop_map(|holder| Step::Disown { holder }),
        2 => (0..2_usize).prop_map(|holder| Step::Plan { holder }),
    ]
}

#[derive(Debug, Clone)]
struct Row {
    attempt: u32,
    ready_at: i64,
    token: Option<String>,
    done: bool,
}

#[derive(Debug, Default)]
struct Model {
    now: i64,
    rows: BTreeMap<usize, Row>,
    /// (delivery, attempt, token) of every claim ever made.
    claims: Vec<(usize, u32, String)>,
    /// Holder and whether the lease runs.
    owner: Option<(usize, bool)>,
    epoch: u64,
    /// The epoch that each holder believes in.
    believed: [Option<u64>; 2],
    plans: usize,
}

impl Model {
    /// The (delivery, attempt, in doubt) that a claim takes.
    fn claim(&mut self, limit: u32) -> Vec<(usize, u32, bool)> {
        let mut due: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, r)| !r.done && r.ready_at <= self.now)
            .map(|(n, r)| (r.ready_at, *n))
            .collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        let mut taken: Vec<_> =
            due.into_iter().map(|(_, n)| (n, self.rows[&n].attempt, self.rows[&n].token.is_some())).collect();
        taken.sort_unstable();
        taken
    }

    fn took(&mut self, delivery: usize, token: &str) {
        let until = self.now + LEASE;
        if let Some(row) = self.rows.get_mut(&delivery) {
            (row.ready_at, row.token) = (until, Some(token.to_owned()));
            self.claims.push((delivery, row.attempt, token.to_owned()));
        }
    }
}

fn number(claimed: &Claimed) -> usize {
    claimed.delivery.delivery.cause.trim_start_matches("event:d").parse().unwrap()
}

/// Rows that are ready at the same moment are taken in order of their creation; so that the model need not know it,
/// deliveries are created in order of their names.
async fn run(fresh: Fresh, steps: Vec<Step>) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Create { claimed } => {
                let n = model.rows.len();
                if n == DELIVERIES {
                    continue;
                }
                let token_name = format!("planner-{n}");
                let new = NewDelivery {
                    due_at: at(model.now),
                    event: None,
                    claim: claimed.then(|| (token(&token_name), at(model.now + LEASE))),
                    ..delivery(&format!("d{n}"))
                };
                store.commit(accept(&acme, event(&format!("d{n}")), vec![new])).await.unwrap();
                model.rows.insert(n, Row { attempt: 1, ready_at: model.now, token: None, done: false });
                if claimed {
                    model.took(n, &token_name);
                }
            }
            Step::Claim { limit } => {
                let expected = model.claim(limit);
                let claimed = store.claim_due(at(model.now), Duration::from_secs(30), limit).await.unwrap();
                let mut got: Vec<_> =
                    claimed.iter().map(|c| (number(c), c.delivery.next_attempt, c.in_doubt)).collect();
                got.sort_unstable();
                assert_eq!(got, expected);
                for claim in &claimed {
                    model.took(number(claim), &claim.token.0);
                }
            }
            Step::Report { claim, ends, keep } => {
                if model.claims.is_empty() {
                    continue;
                }
                let (n, attempt_number, by) = model.claims[claim % model.claims.len()].clone();
                let row = model.rows[&n].clone();
                let valid = !row.done && row.attempt == attempt_number && row.token.as_deref() == Some(&*by);
                let due = model.now + 5;
                let follows = match (ends, keep) {
                    (true, _) => DELIVERED,
                    (false, false) => retry(due),
                    (false, true) => {
                        Follows::Retry { due_at: at(due), claim: Some((token(&by), at(model.now + LEASE))) }
                    }
                };
                let guard = Guard::Claim {
                    delivery: delivery_id(&format!("d{n}")),
                    attempt: attempt_number,
                    token: token(&by),
                };
                let commit = record(&acme, attempt(&format!("d{n}"), attempt_number, follows)).guarded(guard);
                match store.commit(commit).await {
                    Ok(_) => assert!(valid, "{n} {attempt_number} {by}: {row:?}"),
                    Err(StoreError::Refused(Refused::StaleClaim)) => assert!(!valid, "{n}: {row:?}"),
                    Err(error) => panic!("{error}"),
                }
                if valid {
                    let row = model.rows.get_mut(&n).unwrap();
                    if ends {
                        row.done = true;
                    } else {
                        *row = Row { attempt: row.attempt + 1, ready_at: due, token: None, done: false };
                        if keep {
                            model.took(n, &by);
                        }
                    }
                }
            }
            Step::Void => {
                let held = model.rows.values().filter(|row| !row.done && row.token.is_some()).count();
                assert_eq!(store.void_all_claims().await.unwrap(), held as u64);
                for (n, row) in &mut model.rows {
                    if !row.done && row.token.is_some() {
                        row.token = Some("void".into());
                        let found =
                            store.delivery(&acme, &delivery_id(&format!("d{n}"))).await.unwrap().unwrap();
                        assert_eq!(found.state, DeliveryState::Scheduled);
                        // Due since it was last due, which is not after now for a claim made by a claimer.
                        row.ready_at = i64::MIN;
                    }
                }
                // The only process has died: its lease is over as well.
                if let Some((_, runs)) = &mut model.owner {
                    *runs = false;
                }
                // All void rows are ready at once: their order among themselves is that of their due times, which the
                // model does not keep, so all are taken together.
                if held > 0 {
                    let now = at(model.now + 1000);
                    model.now += 1000;
                    let claimed = store.claim_due(now, Duration::from_secs(30), 100).await.unwrap();
                    let in_doubt = claimed.iter().filter(|c| c.in_doubt).count();
                    assert_eq!(in_doubt, held);
                    for claim in &claimed {
                        model.took(number(claim), &claim.token.0);
                    }
                }
            }
            Step::Pass(seconds) => model.now += seconds,
            Step::Own { holder, ttl } => {
                let length = if ttl { Duration::from_secs(3600) } else { Duration::ZERO };
                let free = !matches!(model.owner, Some((other, true)) if other != holder);
                let renewed = matches!(model.owner, Some((other, true)) if other == holder);
                let got = store.acquire_lease(&acme, &format!("h{holder}"), length).await.unwrap();
                assert_eq!(got.is_some(), free);
                if let Some(lease) = got {
                    model.epoch += u64::from(!renewed);
                    assert_eq!(lease.epoch, model.epoch);
                    model.owner = Some((holder, ttl));
                    model.believed[holder] = Some(lease.epoch);
                }
            }
            Step::Disown { holder } => {
                if let Some(epoch) = model.believed[holder] {
                    let lease = notify_store::model::Lease { holder: format!("h{holder}"), epoch };
                    store.release_lease(&acme, &lease).await.unwrap();
                    if model.owner.is_some_and(|(owner, _)| owner == holder) && epoch == model.epoch {
                        model.owner = Some((holder, false));
                    }
                }
            }
            Step::Plan { holder } => {
                let Some(epoch) = model.believed[holder] else { continue };
                model.plans += 1;
                let guard = Guard::Lease { holder: format!("h{holder}"), epoch };
                let name = format!("plan-{}", model.plans);
                let done = store.commit(accept(&acme, event(&name), vec![]).guarded(guard)).await;
                let owns = model.owner == Some((holder, true)) && epoch == model.epoch;
                assert_eq!(done.is_ok(), owns, "{done:?}");
            }
        }
    }
    check_ledger(&store, &acme).await;
    store.close().await;
}

fn check(cases: u32, fresh: impl AsyncFn() -> Fresh) {
    let runtime = runtime();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(async { run(fresh().await, steps).await });
            Ok(())
        })
        .unwrap();
}

#[test]
fn sqlite_agrees_with_the_model() {
    check(60, sqlite);
}

#[test]
fn postgres_agrees_with_the_model() {
    check(12, postgres);
}
