//! Serving a transport: sends go in as the plug-in takes them, completions come back from any of its threads.
//!
//! Three threads: this one reads frames into a queue, one offers the queue to the plug-in, one writes what completed. The
//! callback itself only appends to a buffer, so a plug-in's thread never waits for the socket.

use super::codec::{abi_send, outcome_frame};
use super::plugin::Plugin;
use super::{Fatal, Input};
use crate::frame::{FromChild, ToChild, fault};
use notify_connector_abi as abi;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Log frames per batch of output: a plug-in that logs in a loop must not crowd out its answers.
const LOGS_WAITING: usize = 256;
/// Longest pause between two offers to a plug-in that is full.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the plug-in may take to finish what it accepted once the studio is gone.
const DRAIN: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Waiting {
    out: Vec<u8>,
    logs: usize,
    /// Completions ever seen: what back-pressure waits for.
    completed: u64,
    drained: bool,
    closed: bool,
}

/// The host's side of `nc_host_v1`, alive until the process ends.
pub(crate) struct Completions {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    table: abi::Host,
}

// SAFETY: the table's `ctx` points to this very object, which is static and guarded by its mutex.
unsafe impl Send for Completions {}
// SAFETY: as above.
unsafe impl Sync for Completions {}

/// Token of the drain at the end of the process; the host never gives this one out.
const LAST_DRAIN: u64 = u64::MAX;

unsafe extern "C" fn complete(ctx: *mut c_void, items: *const abi::Outcome, n: usize) {
    // SAFETY: `ctx` is the static `Completions`.
    let Some(this) = (unsafe { ctx.cast::<Completions>().as_ref() }) else { return };
    // SAFETY: the plug-in's array, borrowed for this call; its layout is checked.
    let Ok(items) = (unsafe { abi::Items::new(items, n) }) else { return };
    let mut waiting = lock(&this.waiting);
    for item in items {
        let Ok(item) = item else { break };
        if item.token == LAST_DRAIN {
            waiting.drained = true;
            continue;
        }
        // SAFETY: borrowed for this call.
        let (detail, reference) = unsafe { (item.detail.get(), item.provider_reference.get()) };
        let frame = outcome_frame(item.code, item.retry_after_ms, detail, reference);
        // Its fields are bounded, so it fits a frame.
        let _ = frame.write(item.token, &mut waiting.out);
        waiting.completed += 1;
    }
    drop(waiting);
    this.changed.notify_all();
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, text: abi::Bytes, fields: abi::Bytes) {
    // SAFETY: `ctx` is the static `Completions`.
    let Some(this) = (unsafe { ctx.cast::<Completions>().as_ref() }) else { return };
    // SAFETY: borrowed for this call.
    let (Some(text), Some(fields)) = (unsafe { (text.get(), fields.get()) }) else { return };
    let mut waiting = lock(&this.waiting);
    waiting.logs += 1;
    if waiting.logs > LOGS_WAITING {
        return;
    }
    let limit = abi::limits::LOG_TEXT;
    let frame = FromChild::Log {
        level: u8::try_from(level).unwrap_or(u8::MAX),
        text: text.get(..limit).unwrap_or(text),
        fields_json: if fields.len() <= limit { fields } else { &[] },
    };
    let _ = frame.write(0, &mut waiting.out);
    drop(waiting);
    this.changed.notify_all();
}

unsafe extern "C" fn now_unix_ms(_ctx: *mut c_void) -> u64 {
    now()
}

/// The edge at which a transport learns the time; everything else gets it as a value.
#[allow(clippy::disallowed_methods)]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Completions {
    /// One per process, never freed: plug-in threads may hold it until the very end.
    pub(crate) fn new() -> &'static Self {
        let made = Box::leak(Box::new(Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            table: abi::Host {
                size: size_of::<abi::Host>() as u32,
                abi_major: abi::ABI_MAJOR,
                abi_minor: abi::ABI_MINOR,
                ctx: std::ptr::null_mut(),
                complete: Some(complete),
                log: Some(log),
                now_unix_ms: Some(now_unix_ms),
            },
        }));
        made.table.ctx = (&raw const *made).cast_mut().cast();
        made
    }

    pub(crate) const fn table(&'static self) -> *const abi::Host {
        &raw const self.table
    }

    /// Moves what waits to be written into `out`.
    pub(crate) fn take(&self, out: &mut Vec<u8>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.out.is_empty() {
            out.append(&mut waiting.out);
            waiting.logs = 0;
        }
    }

    /// Answers a token on the plug-in's behalf.
    fn push(&self, token: u64, frame: &FromChild<'_>) {
        let mut waiting = lock(&self.waiting);
        let _ = frame.write(token, &mut waiting.out);
        waiting.completed += 1;
        drop(waiting);
        self.changed.notify_all();
    }

    fn completed(&self) -> u64 {
        lock(&self.waiting).completed
    }

    /// Waits until something completed after `seen`, or for [`PAUSE`].
    fn wait_for_completion(&self, seen: u64) {
        let waiting = lock(&self.waiting);
        drop(self.changed.wait_timeout_while(waiting, PAUSE, |w| w.completed == seen));
    }

    fn write_all(&self, output: &File) -> Result<(), std::io::Error> {
        let mut out = Vec::new();
        loop {
            let waiting = lock(&self.waiting);
            let mut waiting = self
                .changed
                .wait_while(waiting, |w| w.out.is_empty() && !w.closed)
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut out, &mut waiting.out);
            waiting.logs = 0;
            let closed = waiting.closed;
            drop(waiting);
            if out.is_empty() && closed {
                return Ok(());
            }
            (&*output).write_all(&out)?;
            out.clear();
        }
    }
}

/// One queued order to the plug-in, owned because its frame's buffer is reused.
enum Order {
    Send(u64, Vec<u8>),
    Cancel(u64),
    Health(u64),
    Drain(u64, u64),
}

#[derive(Default)]
struct Queue {
    orders: VecDeque<Order>,
    ended: bool,
}

type Shared = Arc<(Mutex<Queue>, Condvar)>;

/// Serves until the socket ends, then lets the plug-in finish.
pub(super) fn serve(
    plugin: Plugin,
    mut input: Input,
    output: File,
    completions: &'static Completions,
) -> Result<(), Fatal> {
    let shared: Shared = Arc::default();
    let writer = std::thread::spawn(move || completions.write_all(&output));
    let submitter = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || submit(&plugin, &shared, completions)
    });
    let ended = read(&mut input, &shared, completions);
    lock(&shared.0).ended = true;
    shared.1.notify_all();
    drop(submitter.join());
    lock(&completions.waiting).closed = true;
    completions.changed.notify_all();
    // The parent is gone or going: that the last answers cannot be written is no failure of ours.
    drop(writer.join());
    ended
}

fn read(input: &mut Input, shared: &Shared, completions: &Completions) -> Result<(), Fatal> {
    loop {
        let mut done = input.done;
        while let Some(raw) = crate::frame::split(input.buffer.get(done..).unwrap_or_default())? {
            done += raw.consumed;
            let order = match ToChild::read(&raw)? {
                // The fields were just read without fault, so they can be read again from the copy.
                ToChild::Send(_) => Order::Send(raw.token, raw.fields.to_vec()),
                ToChild::Cancel => Order::Cancel(raw.token),
                ToChild::Health => Order::Health(raw.token),
                ToChild::Drain { deadline_unix_ms } => Order::Drain(raw.token, deadline_unix_ms),
                ToChild::Validate { .. } => {
                    // Transports are validated by schema; the call would need the instance's thread.
                    completions.push(raw.token, &FromChild::Validated { code: 0, problems_json: &[] });
                    continue;
                }
                other => return Err(Fatal::Start(format!("a transport was asked for {other:?}"))),
            };
            lock(&shared.0).orders.push_back(order);
        }
        shared.1.notify_all();
        input.done = done;
        if !input.fill()? {
            return Ok(());
        }
    }
}

/// The only thread that calls the instance.
fn submit(plugin: &Plugin, shared: &Shared, completions: &'static Completions) {
    loop {
        let queue = lock(&shared.0);
        let mut queue = shared
            .1
            .wait_while(queue, |q| q.orders.is_empty() && !q.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = queue.ended;
        let orders = std::mem::take(&mut queue.orders);
        drop(queue);
        if orders.is_empty() && ended {
            break;
        }
        let mut sends = Vec::new();
        for order in orders {
            match order {
                Order::Send(token, fields) => sends.push((token, fields)),
                other => {
                    offer(plugin, &mut sends, completions);
                    act(plugin, &other, completions);
                }
            }
        }
        offer(plugin, &mut sends, completions);
    }
    finish(plugin, completions);
}

fn act(plugin: &Plugin, order: &Order, completions: &Completions) {
    let table = &plugin.table;
    // SAFETY (all three): the one instance on the one thread that calls it.
    let (token, code) = match *order {
        Order::Cancel(token) => {
            let code = table.cancel.map_or(0, |cancel| unsafe { cancel(plugin.instance, token) });
            // A hint: its failure changes nothing, the send is still answered once.
            if code != 0 { (token, 0) } else { (token, code) }
        }
        Order::Health(token) => {
            (token, table.health.map_or(-1, |health| unsafe { health(plugin.instance, token) }))
        }
        Order::Drain(token, deadline) => {
            (token, table.drain.map_or(-1, |drain| unsafe { drain(plugin.instance, deadline, token) }))
        }
        Order::Send(..) => return,
    };
    if code != 0 {
        completions.push(token, &failed(fault::CALL_FAILED));
    }
}

const fn failed(code: i32) -> FromChild<'static> {
    FromChild::Outcome { code, retry_after_ms: abi::NOT_SAID, detail: &[], provider_reference: &[] }
}

/// Offers sends until all are taken. A short count waits for a completion, or a moment: what the plug-in is waiting for
/// may be outside (a connection), and then no completion announces it.
fn offer(plugin: &Plugin, sends: &mut Vec<(u64, Vec<u8>)>, completions: &Completions) {
    let Some(send_many) = plugin.table.send_many else { return };
    let mut rest: VecDeque<(u64, Vec<u8>)> = std::mem::take(sends).into();
    while !rest.is_empty() {
        let seen = completions.completed();
        let now = now();
        // What the host has given up must not be sent any more: it would go out twice.
        rest.retain(|(token, fields)| {
            let live = read_send(*token, fields).is_some_and(|send| send.deadline_unix_ms > now);
            if !live {
                completions.push(*token, &failed(abi::CANCELLED));
            }
            live
        });
        let items: Vec<abi::Send> =
            rest.iter().filter_map(|(token, fields)| read_send(*token, fields)).collect();
        let mut accepted = 0_usize;
        // SAFETY: the one instance on the one thread; the array and what it points to live for the call.
        let code = unsafe { send_many(plugin.instance, items.as_ptr(), items.len(), &raw mut accepted) };
        if code != 0 || accepted > rest.len() {
            for (token, _) in rest {
                completions.push(token, &failed(fault::CALL_FAILED));
            }
            return;
        }
        rest.drain(..accepted);
        if !rest.is_empty() {
            completions.wait_for_completion(seen);
        }
    }
}

fn read_send(token: u64, fields: &[u8]) -> Option<abi::Send> {
    let raw = crate::frame::Raw { kind: crate::frame::KIND_SEND, token, fields, consumed: 0 };
    match ToChild::read(&raw) {
        Ok(ToChild::Send(fields)) => Some(abi_send(token, &fields)),
        _ => None,
    }
}

/// The studio is gone: let accepted sends finish, then end.
fn finish(plugin: &Plugin, completions: &'static Completions) {
    if let Some(drain) = plugin.table.drain {
        let deadline = now().saturating_add(u64::try_from(DRAIN.as_millis()).unwrap_or(0));
        // SAFETY: the one instance on the one thread.
        if unsafe { drain(plugin.instance, deadline, LAST_DRAIN) } == 0 {
            let waiting = lock(&completions.waiting);
            drop(completions.changed.wait_timeout_while(waiting, DRAIN, |w| !w.drained));
        }
    }
    plugin.destroy();
}
