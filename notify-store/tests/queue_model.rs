//! Claims, results and leases against a model: random histories on both databases, the same answers as forty lines of
//! plain data.

mod support;

use notify_core::ledger::EntryKind;
use notify_store::model::{Admission, Claimed, Delivery, DeliveryState, Follows, NewDelivery};
use notify_store::{Commit, Effect, Guard, Refused, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::time::Duration;
use support::*;

const DELIVERIES: usize = 6;
const LEASE: i64 = 30;

#[derive(Debug, Clone)]
enum Step {
    Create {
        claimed: bool,
    },
    Claim {
        limit: u32,
    },
    /// Two ask at once.
    Race {
        limits: [u32; 2],
    },
    /// A claimer that takes only deliveries of one parity, and sends the others back for so long.
    Choose {
        limit: u32,
        parity: usize,
        later: i64,
    },
    /// The claim at this place among all ever made reports; with `late` its entry is kept though it comes too late.
    Report {
        claim: usize,
        ends: Option<DeliveryState>,
        keep: bool,
        late: bool,
    },
    /// A delivery that is over is sent again as a new one.
    Replay {
        delivery: usize,
    },
    /// The only process has died; with `restart` the store is opened anew.
    Void {
        restart: bool,
    },
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

fn ending() -> impl Strategy<Value = Option<DeliveryState>> {
    prop_oneof![
        3 => Just(None),
        2 => Just(Some(DeliveryState::Delivered)),
        1 => Just(Some(DeliveryState::Dead)),
        1 => Just(Some(DeliveryState::Cancelled)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<bool>().prop_map(|claimed| Step::Create { claimed }),
        4 => (1..3_u32).prop_map(|limit| Step::Claim { limit }),
        2 => (1..3_u32, 1..3_u32).prop_map(|(one, two)| Step::Race { limits: [one, two] }),
        2 => (1..4_u32, 0..2_usize, 1..30_i64)
            .prop_map(|(limit, parity, later)| Step::Choose { limit, parity, later }),
        6 => (0..12_usize, ending(), any::<bool>(), any::<bool>())
            .prop_map(|(claim, ends, keep, late)| Step::Report { claim, ends, keep, late }),
        2 => (0..DELIVERIES).prop_map(|delivery| Step::Replay { delivery }),
        1 => any::<bool>().prop_map(|restart| Step::Void { restart }),
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
    done: Option<DeliveryState>,
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
            .filter(|(_, r)| r.done.is_none() && r.ready_at <= self.now)
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
    name_number(&claimed.delivery.delivery.cause)
}

fn name_number(cause: &str) -> usize {
    cause.trim_start_matches("event:d").parse().unwrap()
}

/// Rows that are ready at the same moment are taken in order of their creation; so that the model need not know it,
/// deliveries are created in order of their names.
async fn run(fresh: Fresh, steps: Vec<Step>) {
    let mut store = fresh.store.clone();
    let acme = tenant("acme");
    // Genesis is the first.
    let mut entries = 1;
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
                entries += 1;
                model.rows.insert(n, Row { attempt: 1, ready_at: model.now, token: None, done: None });
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
            Step::Race { limits } => {
                let expected = model.claim(limits[0] + limits[1]);
                let claim = |limit| store.claim_due(at(model.now), Duration::from_secs(30), limit);
                let (one, two) = futures_util::future::join(claim(limits[0]), claim(limits[1])).await;
                let claimed = [one.unwrap(), two.unwrap()].concat();
                let mut got: Vec<_> =
                    claimed.iter().map(|c| (number(c), c.delivery.next_attempt, c.in_doubt)).collect();
                got.sort_unstable();
                assert_eq!(got, expected, "none twice, none left over");
                for claim in &claimed {
                    model.took(number(claim), &claim.token.0);
                }
            }
            Step::Choose { limit, parity, later } => {
                let seen = model.claim(limit);
                let back = model.now + later;
                let admit = |delivery: &Delivery| match name_number(&delivery.delivery.cause) % 2 == parity {
                    true => Admission::Take,
                    false => Admission::Later(at(back)),
                };
                let lease = Duration::from_secs(30);
                let claimed = store.claim_due_if(at(model.now), lease, limit, admit).await.unwrap();
                let mut got: Vec<_> =
                    claimed.iter().map(|c| (number(c), c.delivery.next_attempt, c.in_doubt)).collect();
                got.sort_unstable();
                let (taken, sent_back): (Vec<_>, Vec<_>) =
                    seen.into_iter().partition(|(n, _, _)| n % 2 == parity);
                assert_eq!(got, taken);
                for claim in &claimed {
                    model.took(number(claim), &claim.token.0);
                }
                // Who holds it, and whether that is in doubt, is as before.
                for (n, _, _) in sent_back {
                    model.rows.get_mut(&n).unwrap().ready_at = back;
                }
            }
            Step::Replay { delivery: of } => {
                let n = model.rows.len();
                let Some(row) = model.rows.get(&of) else { continue };
                if n == DELIVERIES {
                    continue;
                }
                let over = DeliveryState::ALL.into_iter().filter(|state| *state != DeliveryState::Scheduled);
                let guard =
                    Guard::DeliveryState { delivery: delivery_id(&format!("d{of}")), any_of: over.collect() };
                let new = NewDelivery { due_at: at(model.now), event: None, ..delivery(&format!("d{n}")) };
                let entry = draft(EntryKind::Delivery, new.id.as_str());
                let effects = vec![Effect::CreateDelivery(Box::new(new))];
                let done = store.commit(Commit::new(acme.clone(), effects, vec![entry]).guarded(guard)).await;
                match done {
                    Ok(_) => {
                        assert!(row.done.is_some(), "{of} is under way");
                        entries += 1;
                        model
                            .rows
                            .insert(n, Row { attempt: 1, ready_at: model.now, token: None, done: None });
                    }
                    Err(StoreError::Refused(Refused::WrongState(_))) => assert!(row.done.is_none()),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Report { claim, ends, keep, late } => {
                if model.claims.is_empty() {
                    continue;
                }
                let (n, attempt_number, by) = model.claims[claim % model.claims.len()].clone();
                let row = model.rows[&n].clone();
                let valid =
                    row.done.is_none() && row.attempt == attempt_number && row.token.as_deref() == Some(&*by);
                let due = model.now + 5;
                let follows = match (ends, keep) {
                    (Some(state), _) => Follows::Outcome(state),
                    (None, false) => retry(due),
                    (None, true) => {
                        Follows::Retry { due_at: at(due), claim: Some((token(&by), at(model.now + LEASE))) }
                    }
                };
                let guard = Guard::Claim {
                    delivery: delivery_id(&format!("d{n}")),
                    attempt: attempt_number,
                    token: token(&by),
                };
                let mut commit =
                    record(&acme, attempt(&format!("d{n}"), attempt_number, follows)).guarded(guard);
                if late {
                    commit =
                        commit.or_late(draft(EntryKind::Attempt, delivery_id(&format!("d{n}")).as_str()));
                }
                match store.commit(commit).await {
                    // A late one leaves its entry and nothing else.
                    Ok(done) => {
                        assert_eq!(done.late, !valid, "{n} {attempt_number} {by}: {row:?}");
                        assert!(valid || late);
                        entries += 1;
                    }
                    Err(StoreError::Refused(Refused::StaleClaim)) => assert!(!valid && !late, "{n}: {row:?}"),
                    Err(error) => panic!("{error}"),
                }
                if valid {
                    let row = model.rows.get_mut(&n).unwrap();
                    if ends.is_some() {
                        row.done = ends;
                    } else {
                        *row = Row { attempt: row.attempt + 1, ready_at: due, token: None, done: None };
                        if keep {
                            model.took(n, &by);
                        }
                    }
                }
            }
            Step::Void { restart } => {
                if restart {
                    store.close().await;
                    store = Store::open(fresh.options.clone()).await.unwrap();
                }
                let held =
                    model.rows.values().filter(|row| row.done.is_none() && row.token.is_some()).count();
                assert_eq!(store.void_all_claims().await.unwrap(), held as u64);
                for (n, row) in &mut model.rows {
                    if row.done.is_none() && row.token.is_some() {
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
                entries += u64::from(owns);
            }
        }
    }
    assert_eq!(check_ledger(&store, &acme).await, entries, "each act has its entry");
    for (n, row) in &model.rows {
        let found = store.delivery(&acme, &delivery_id(&format!("d{n}"))).await.unwrap().unwrap();
        assert_eq!(found.state, row.done.unwrap_or(DeliveryState::Scheduled));
    }
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
