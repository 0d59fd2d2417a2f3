//! Inboxes and opt-outs.

use crate::support::*;
use notify_core::ids::{ChannelId, RuleId, TenantId};
use notify_core::ledger::EntryKind;
use notify_core::severity::Severity;
use notify_store::model::{ClaimToken, InboxFilter, InboxMark, NewDelivery, NewInboxItem, OptOut, Page};
use notify_store::{Bookkeeping, Commit, Effect, Guard, Store};

fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).unwrap()
}

fn new_item(name: &str, channel_id: &str, severity: Severity, second: i64) -> NewInboxItem {
    NewInboxItem {
        delivery: delivery_id(name),
        channel: channel(channel_id),
        severity,
        created_at: at(second),
        expires_at: at(second + 100),
    }
}

/// The attempt with its item.
fn delivered(id: &TenantId, name: &str, item: NewInboxItem, claim: Option<&str>) -> Commit {
    let effects = vec![
        Effect::RecordAttempt(Box::new(attempt(name, 1, DELIVERED))),
        Effect::AddToInbox(Box::new(item)),
    ];
    let commit = Commit::new(id.clone(), effects, vec![draft(EntryKind::Attempt, name)]);
    match claim {
        None => commit,
        Some(token) => commit
            .guarded(Guard::Claim {
                delivery: delivery_id(name),
                attempt: 1,
                token: ClaimToken(token.into()),
            })
            .or_late(draft(EntryKind::Attempt, "late")),
    }
}

async fn filled(fresh: Fresh) -> (Store, TenantId, Fresh) {
    let acme = tenant("acme");
    let store = fresh.store.clone();
    store.commit(create_tenant(&acme)).await.unwrap();
    let severities = [Severity::Info, Severity::High, Severity::Critical, Severity::High];
    let to = |name: &str| if name == "d" { "ops" } else { "inbox" };
    // They arrive in another order than they were decided.
    for name in ["c", "d", "b", "a"] {
        let to = to(name);
        let rule = RuleId::new(if name == "a" { "rule-a" } else { "rule" }).unwrap();
        let made = NewDelivery { channel: channel(to), rule, ..delivery(name) };
        store.commit(accept(&acme, event(name), vec![made])).await.unwrap();
    }
    for ((name, second), severity) in
        [("a", 100), ("b", 200), ("c", 300), ("d", 400)].into_iter().zip(severities)
    {
        let to = to(name);
        store.commit(delivered(&acme, name, new_item(name, to, severity, second), None)).await.unwrap();
    }
    (store, acme, fresh)
}

async fn names(store: &Store, tenant: &TenantId, filter: &InboxFilter, limit: u32) -> Vec<String> {
    let mut page = Page { limit, after: None };
    let mut all = Vec::new();
    loop {
        let found = store.inbox(tenant, filter, &page).await.unwrap();
        for item in found.items {
            let name = ["a", "b", "c", "d"].into_iter().find(|name| delivery_id(name) == item.delivery);
            all.push(name.unwrap().to_owned());
        }
        let Some(next) = found.next else { return all };
        page.after = Some(next);
    }
}

async fn mark(store: &Store, tenant: &TenantId, mark: InboxMark) {
    store.commit(Commit::bookkeeping(tenant.clone(), vec![Bookkeeping::MarkInbox(mark)])).await.unwrap();
}

pub async fn items(fresh: Fresh) {
    let (store, acme, _fresh) = filled(fresh).await;
    let all = InboxFilter::default();
    for limit in [1, 2, 10] {
        assert_eq!(names(&store, &acme, &all, limit).await, ["d", "c", "b", "a"], "{limit}");
    }
    let found = store.inbox_item(&acme, &delivery_id("b")).await.unwrap().unwrap();
    assert_eq!((found.severity, found.created_at, found.read), (Severity::High, at(200), None));
    assert_eq!((found.rule.as_str(), found.event), ("rule", Some(event("b").key)));
    assert_eq!(found.message, delivery("b").message);
    assert_eq!(store.inbox_item(&acme, &delivery_id("x")).await.unwrap(), None);
    let beta = tenant("beta");
    store.commit(create_tenant(&beta)).await.unwrap();
    assert_eq!(names(&store, &beta, &all, 10).await, [""; 0]);
    assert_eq!(store.inbox_item(&beta, &delivery_id("b")).await.unwrap(), None);

    let read = |name: &str, second, by: &str| InboxMark::Read {
        id: delivery_id(name),
        at: at(second),
        by: by.into(),
    };
    mark(&store, &acme, read("b", 500, "ann")).await;
    mark(&store, &acme, read("b", 501, "ben")).await;
    mark(&store, &beta, read("c", 501, "eve")).await;
    let found = store.inbox_item(&acme, &delivery_id("b")).await.unwrap().unwrap();
    assert_eq!(found.read, Some((at(500), "ann".to_owned())), "who read it first stays");
    let check = async |filter: InboxFilter, expected: &[&str]| {
        assert_eq!(names(&store, &acme, &filter, 10).await, expected, "{filter:?}");
    };
    check(InboxFilter { unread: Some(true), ..all.clone() }, &["d", "c", "a"]).await;
    check(InboxFilter { unread: Some(false), ..all.clone() }, &["b"]).await;
    check(InboxFilter { severity: Some(Severity::High), ..all.clone() }, &["d", "c", "b"]).await;
    check(InboxFilter { channel: Some(channel("ops")), ..all.clone() }, &["d"]).await;
    check(InboxFilter { rule: Some(RuleId::new("rule-a").unwrap()), ..all.clone() }, &["a"]).await;
    check(InboxFilter { from: Some(at(200)), to: Some(at(400)), ..all.clone() }, &["c", "b"]).await;
    let both = InboxFilter { unread: Some(true), severity: Some(Severity::Critical), ..all.clone() };
    check(both, &["c"]).await;
    let counts = store.inbox_unread(&acme).await.unwrap();
    assert_eq!(counts, [(Severity::Critical, 1), (Severity::High, 1), (Severity::Info, 1)]);

    mark(&store, &acme, InboxMark::Unread { id: delivery_id("b") }).await;
    mark(&store, &acme, InboxMark::Unread { id: delivery_id("b") }).await;
    check(InboxFilter { unread: Some(true), ..all.clone() }, &["d", "c", "b", "a"]).await;
    let all_read =
        |channel, until| InboxMark::AllRead { channel, until: at(until), at: at(600), by: "ann".into() };
    mark(&store, &acme, all_read(Some(channel("inbox")), 200)).await;
    check(InboxFilter { unread: Some(true), ..all.clone() }, &["d", "c"]).await;
    mark(&store, &acme, all_read(None, 1_000)).await;
    check(InboxFilter { unread: Some(true), ..all.clone() }, &[]).await;
    assert_eq!(store.inbox_unread(&acme).await.unwrap(), []);
    // genesis, and an event and an attempt for each: marks have no entries.
    assert_eq!(check_ledger(&store, &acme).await, 9);
}

/// A delivery is in an inbox with its attempt, or not at all, and never twice.
pub async fn items_come_with_their_attempt(fresh: Fresh) {
    let acme = tenant("acme");
    let store = fresh.store;
    store.commit(create_tenant(&acme)).await.unwrap();
    let claimed = NewDelivery { claim: Some((ClaimToken("mine".into()), at(1_000))), ..delivery("a") };
    store.commit(accept(&acme, event("a"), vec![claimed])).await.unwrap();
    let item = || new_item("a", "inbox", Severity::Info, 100);
    let late = store.commit(delivered(&acme, "a", item(), Some("other"))).await.unwrap();
    assert!(late.late);
    assert_eq!(
        store.inbox_item(&acme, &delivery_id("a")).await.unwrap(),
        None,
        "a lost claim writes nothing"
    );
    store.commit(delivered(&acme, "a", item(), Some("mine"))).await.unwrap();
    assert!(store.commit(delivered(&acme, "a", item(), Some("mine"))).await.unwrap().late);
    assert!(store.commit(delivered(&acme, "a", item(), None)).await.is_err(), "the delivery is over");
    assert!(
        store.commit(delivered(&acme, "b", new_item("b", "inbox", Severity::Info, 1), None)).await.is_err()
    );
    assert_eq!(
        store
            .inbox(&acme, &InboxFilter::default(), &Page { limit: 9, after: None })
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    // In one round with what made it.
    let answers = [
        store.submit(accept(&acme, event("c"), vec![delivery("c")])),
        store.submit(delivered(&acme, "c", new_item("c", "inbox", Severity::Info, 7), None)),
        store.submit(delivered(&acme, "c", new_item("c", "inbox", Severity::Info, 7), None)),
    ];
    let mut done = Vec::new();
    for answer in answers {
        done.push(answer.await.unwrap().is_ok());
    }
    assert_eq!(done, [true, true, false]);
    assert!(store.inbox_item(&acme, &delivery_id("c")).await.unwrap().is_some());
}

pub async fn items_end(fresh: Fresh) {
    let (store, acme, _fresh) = filled(fresh).await;
    let over =
        async |now: i64, most: u64, limit: u32| store.inbox_over(&acme, at(now), most, limit).await.unwrap();
    assert_eq!(over(199, 10, 10).await, []);
    assert_eq!(over(200, 10, 10).await, [delivery_id("a")]);
    assert_eq!(over(1_000, 10, 2).await, [delivery_id("a"), delivery_id("b")]);
    // The oldest beyond the newest three.
    assert_eq!(over(0, 3, 10).await, [delivery_id("a")]);
    assert_eq!(over(0, 4, 10).await, []);
    let ids = vec![delivery_id("a"), delivery_id("b"), delivery_id("x")];
    store.commit(Commit::bookkeeping(acme.clone(), vec![Bookkeeping::EndInbox { ids }])).await.unwrap();
    assert_eq!(names(&store, &acme, &InboxFilter::default(), 10).await, ["d", "c"]);
    assert!(store.delivery(&acme, &delivery_id("a")).await.unwrap().is_some(), "the delivery stays");
}

pub async fn opt_outs(fresh: Fresh) {
    let acme = tenant("acme");
    let store = fresh.store;
    store.commit(create_tenant(&acme)).await.unwrap();
    let mail = channel("mail");
    let out = |address: &str, second| {
        let effect = Effect::OptOut { channel: channel("mail"), address: address.into(), at: at(second) };
        Commit::new(acme.clone(), vec![effect], vec![draft(EntryKind::Access, address)])
    };
    let back = |address: &str| {
        let effect = Effect::EndOptOut { channel: channel("mail"), address: address.into() };
        Commit::new(acme.clone(), vec![effect], vec![draft(EntryKind::Access, address)])
    };
    let list = async |channel: &ChannelId| {
        let mut page = Page { limit: 1, after: None };
        let mut all = Vec::new();
        loop {
            let found = store.opt_outs(&acme, channel, &page).await.unwrap();
            all.extend(
                found
                    .items
                    .into_iter()
                    .map(|out| format!("{}@{}", out.address, out.at.duration_since(at(0)).as_secs())),
            );
            let Some(next) = found.next else { return all.join(" ") };
            page.after = Some(next);
        }
    };
    for (address, second) in [("b", 2), ("a", 1), ("b", 3)] {
        store.commit(out(address, second)).await.unwrap();
    }
    assert_eq!(list(&mail).await, "a@1 b@2", "the first one stays");
    assert_eq!(list(&channel("other")).await, "");
    assert_eq!(
        store.opt_out(&acme, &mail, "a").await.unwrap(),
        Some(OptOut { address: "a".into(), at: at(1) })
    );
    assert_eq!(store.opt_out(&acme, &mail, "c").await.unwrap(), None);
    store.commit(back("a")).await.unwrap();
    store.commit(back("a")).await.unwrap();
    assert_eq!(list(&mail).await, "b@2");
    // In one round, as in the ledger: the last one holds.
    for answer in [
        store.submit(out("c", 4)),
        store.submit(back("c")),
        store.submit(back("b")),
        store.submit(out("b", 5)),
    ] {
        answer.await.unwrap().unwrap();
    }
    let found = list(&mail).await;
    assert!(found == "b@5" || found == "b@2", "{found}");
    let beta = tenant("beta");
    store.commit(create_tenant(&beta)).await.unwrap();
    assert_eq!(store.opt_out(&beta, &mail, "b").await.unwrap(), None);
}
