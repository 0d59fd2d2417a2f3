//! Changes while another thread matches at full rate: how long until an inserted rule is found, and what a whole build
//! costs.

use crate::clock;
use crate::matching::{compile, events};
use crate::sets::Set;
use anyhow::anyhow;
use arc_swap::ArcSwap;
use notify_core::pattern::{Pattern, RuleSet, Scratch};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

const INSERTS: usize = 1_000;

pub fn run(set: Set, rules: usize) -> anyhow::Result<Value> {
    let published = Arc::new(ArcSwap::from_pointee(RuleSet::new(compile(set, 0..rules)?)));
    let events = Arc::new(events(set, rules));
    let (seen, done, count) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = {
        let (published, events) = (Arc::clone(&published), Arc::clone(&events));
        let (seen, done, count) = (Arc::clone(&seen), Arc::clone(&done), Arc::clone(&count));
        std::thread::spawn(move || {
            let mut scratch = Scratch::default();
            for event in events.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let rules = published.load();
                // Every second event is one that the inserted rules match.
                for text in [event.as_str(), r#"{"inserted":true}"#] {
                    let mut keys = Vec::new();
                    if rules.matching_text(&mut scratch, text, &mut keys).is_ok() {
                        keys.last().into_iter().for_each(|key| seen.store(**key, Ordering::Release));
                    }
                }
                count.fetch_add(2, Ordering::Relaxed);
            }
        })
    };
    let inserted =
        Pattern::compile(&json!({ "inserted": [true] })).map_err(|problem| anyhow!("{problem}"))?;
    let started = clock::instant();
    let mut visible = Vec::with_capacity(INSERTS);
    let mut folds = Vec::new();
    for i in 0..INSERTS {
        let key = rules + i;
        let begun = clock::instant();
        let next = published.load().with(key, inserted.clone());
        let wants_folding = next.wants_folding();
        published.store(Arc::new(next));
        while seen.load(Ordering::Acquire) != key {
            std::hint::spin_loop();
        }
        visible.push(begun.elapsed().as_secs_f64() * 1e3);
        if wants_folding {
            let begun = clock::instant();
            let folded = published.load().folded();
            folds.push(begun.elapsed().as_secs_f64() * 1e3);
            published.store(Arc::new(folded));
        }
    }
    let rate = count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    reader.join().map_err(|_| anyhow!("the reader panicked"))?;
    visible.sort_by(f64::total_cmp);
    let at = |share: f64| visible.get(((INSERTS - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let slowest_fold = folds.iter().copied().fold(0.0, f64::max);
    println!(
        "{} inserts into {rules} {} rules while another thread matches {rate:.0} events/s: found after p50 {:.3} ms, \
         p99 {:.3} ms, at most {:.3} ms (target 1); {} rebuilds of all, at most {slowest_fold:.0} ms (target 500)",
        INSERTS,
        set.name(),
        at(0.5),
        at(0.99),
        at(1.0),
        folds.len(),
    );
    Ok(json!({
        "scenario": "match-update", "set": set.name(), "rules": rules, "inserts": INSERTS, "events_per_s": rate.round(),
        "visible_p50_ms": at(0.5), "visible_p99_ms": at(0.99), "visible_max_ms": at(1.0), "rebuild_ms": slowest_fold,
    }))
}
