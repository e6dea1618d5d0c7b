//! What is to be written: a queue, and the transaction that it goes into.
//!
//! All that comes while one transaction is flushed goes into the next one, up to a bound, so that one flush of the disk
//! serves many appends (group commit). Whoever queues something adds it to that transaction by itself, unless another is
//! at it; the flusher adds the rest and commits. So between two flushes nobody waits for a further thread to get a
//! processor.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::super::StoreError;
use super::durable::Durable;
use super::request::Request;
use super::stopped;
use super::transaction::{Commit, Transaction};

/// Requests that one caller adds, its own and those of others: each takes some 20 us of a thread that has other work.
const HELP_MAX: usize = 16;
/// The part of the last flush that may be spent on waiting for those whom it served.
const GATHER_SHARE: u32 = 2;
/// The part of them that may be late without its having been in vain.
const LATE_SHARE: usize = 4;
/// Flushes after which it is tried again where they were late.
const SKIP_MAX: u32 = 31;

/// See the module.
pub(super) struct Writer {
    /// A std mutex: it is held for a push or a pop. It is taken after the transaction's.
    queue: Mutex<Queue>,
    /// The flusher waits here.
    enough: Condvar,
    /// A std mutex: it is held while SQLite adds to it or commits it.
    transaction: Mutex<Transaction>,
    durable: Arc<Durable>,
    /// Requests that may wait.
    queue_max: usize,
    /// Requests that one transaction takes.
    batch_max: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    /// How many came since the last commit: those that wait and those in the transaction.
    arrived: usize,
    /// What the flusher waits for.
    flusher: Awaits,
    returns: Returns,
    /// There will be no more.
    closed: bool,
}

/// What the flusher waits for; who has brought it sets it back.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// Nothing: it commits, flushes or answers.
    #[default]
    Nothing,
    /// Anything to write.
    Any,
    /// Those whom it has just answered, or a full transaction.
    Returns,
}

/// Those who were answered and will probably ask again: a client with more to do waits for an answer first.
#[derive(Default)]
struct Returns {
    /// How many were answered last.
    answered: usize,
    /// How many of them have not come back.
    out: usize,
    /// How many further flushes nobody waits for them.
    skip: u32,
    /// What `skip` is set to when they are late again.
    penalty: u32,
}

impl Writer {
    /// `queue_max` requests may wait; one transaction takes `batch_max`.
    pub(super) fn new(db: Connection, durable: Arc<Durable>, queue_max: usize, batch_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            enough: Condvar::new(),
            transaction: Mutex::new(Transaction::new(db, Arc::clone(&durable))),
            durable,
            queue_max: queue_max.max(1),
            batch_max: batch_max.max(1),
        }
    }

    /// Queues a request. It is done in the order of the queue.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too many wait, [`StoreError::Failed`] after [`Writer::close`].
    pub(super) fn push(&self, request: Request) -> Result<(), StoreError> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(stopped());
        }
        if queue.waiting.len() >= self.queue_max && !request.is_work() {
            return Err(StoreError::Busy);
        }
        if request.is_awaited() {
            queue.returns.out = queue.returns.out.saturating_sub(1);
        }
        queue.waiting.push_back(request);
        queue.arrived += 1;
        if queue.has_what_the_flusher_awaits(self.batch_max) {
            queue.flusher = Awaits::Nothing;
            self.enough.notify_one();
        } else {
            drop(queue);
            self.help();
        }
        Ok(())
    }

    /// Adds what waits to the transaction, unless somebody else is at it: a helper looks again before it ends, and the
    /// flusher takes what is left.
    fn help(&self) {
        let mut left = HELP_MAX;
        while left > 0 && self.queue().front_is_short() {
            let Ok(mut transaction) = self.transaction.try_lock() else {
                return;
            };
            // Who has the transaction alone takes from the queue: what is seen here is there to be added.
            let has_room = transaction.len() < self.batch_max;
            if !has_room || self.queue().front_is_short() && !transaction.is_open_at_once() {
                return;
            }
            while left > 0
                && transaction.len() < self.batch_max
                && let Some(request) = self.pop_short()
            {
                transaction.add(request);
                left -= 1;
            }
        }
    }

    /// Waits for requests and commits them. None when there will be no more.
    pub(super) fn commit(&self) -> Option<Commit> {
        if self.wait(Awaits::Any, Duration::MAX).arrived == 0 {
            return None;
        }
        let mut transaction = self.transaction();
        while transaction.len() < self.batch_max
            && let Some(request) = self.pop()
        {
            transaction.add(request);
        }
        let commit = transaction.commit();
        let mut queue = self.queue();
        queue.arrived = queue.waiting.len();
        #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
        {
            metrics::histogram!("millwork_event_store_batch_requests").record(commit.served.len() as f64);
            metrics::gauge!("millwork_event_store_queue_requests").set(queue.waiting.len() as f64);
        }
        Some(commit)
    }

    /// To be told before `commit` is answered.
    pub(super) fn expect(&self, commit: &Commit) {
        let awaited = commit.served.iter().filter(|(request, _)| request.is_awaited());
        let count = awaited.count();
        let mut queue = self.queue();
        (queue.returns.answered, queue.returns.out) = (count, count);
    }

    /// Waits a part of a flush for those who were just answered, where that has proved worth it. Without it callers fall into
    /// two halves that take turns: who comes back a bit too late for one flush waits for a second, and each flush serves
    /// half of them.
    pub(super) fn gather(&self, flush: Duration) {
        if self.queue().returns.are_worth_it() {
            self.wait(Awaits::Returns, flush / GATHER_SHARE).returns.learn();
        }
    }

    /// The flusher's waiting.
    fn wait(&self, awaits: Awaits, at_most: Duration) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue();
        queue.flusher = awaits;
        if !queue.has_what_the_flusher_awaits(self.batch_max) {
            let lacks = |queue: &mut Queue| queue.flusher != Awaits::Nothing && !queue.closed;
            let waited = self.enough.wait_timeout_while(queue, at_most, lacks);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.flusher = Awaits::Nothing;
        queue
    }

    /// Takes no more requests; those that wait are still served.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.enough.notify_one();
    }

    /// Drops what waits: nobody will serve it.
    pub(super) fn abandon(&self) {
        self.close();
        self.queue().waiting.clear();
        self.transaction().abandon();
    }

    fn pop(&self) -> Option<Request> {
        self.queue().waiting.pop_front()
    }

    fn pop_short(&self) -> Option<Request> {
        let mut queue = self.queue();
        if queue.front_is_short() {
            queue.waiting.pop_front()
        } else {
            None
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When somebody has panicked within the transaction nobody can tell what stands in it, and nothing of it is committed.
    fn transaction(&self) -> MutexGuard<'_, Transaction> {
        self.transaction.lock().unwrap_or_else(|poisoned| {
            let why = io::Error::other("a thread has panicked while it wrote");
            self.durable.note(0, &Err(why));
            let mut transaction = poisoned.into_inner();
            transaction.abandon();
            transaction
        })
    }
}

impl Queue {
    fn has_what_the_flusher_awaits(&self, batch_max: usize) -> bool {
        match self.flusher {
            Awaits::Nothing => false,
            Awaits::Any => self.arrived > 0,
            Awaits::Returns => self.returns.out == 0 || self.arrived >= batch_max,
        }
    }

    /// Whether something waits that holds up nobody who does it.
    fn front_is_short(&self) -> bool {
        self.waiting.front().is_some_and(|request| !request.is_work())
    }
}

impl Returns {
    fn are_worth_it(&mut self) -> bool {
        let worth = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        worth
    }

    /// Where more than a few are late, time after time, they are waited for ever more rarely.
    fn learn(&mut self) {
        let late = self.out > self.answered / LATE_SHARE;
        self.penalty = if late {
            (2 * self.penalty + 1).min(SKIP_MAX)
        } else {
            self.penalty / 2
        };
        self.skip = self.penalty;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use millwork_registry::id::TenantId;
    use tokio::sync::oneshot;

    use super::super::append::Tenants;
    use super::super::{open_writer, schema};
    use super::*;

    /// Makes a tenant, which is a row that can be counted.
    fn make(name: &str) -> Request {
        let id = TenantId::new(name).unwrap();
        let make = move |db: &Connection, tenants: &mut Tenants| tenants.get(db, &id).map(drop);
        Request::Work {
            work: Box::new(make),
            reply: oneshot::channel().0,
        }
    }

    #[test]
    fn nothing_is_committed_of_a_transaction_in_which_somebody_panicked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sqlite");
        let tenants = || -> u32 {
            let db = Connection::open(&path).unwrap();
            db.query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))
                .unwrap()
        };
        let durable = Arc::<Durable>::default();
        let db = open_writer(&path, schema::MIGRATIONS, "normal").unwrap();
        let writer = Writer::new(db, Arc::clone(&durable), 8, 8);
        writer.push(make("acme")).unwrap();
        assert_eq!(writer.commit().unwrap().served.len(), 1);
        assert_eq!(tenants(), 1);

        let (tell, told) = mpsc::channel();
        let help = || {
            let mut transaction = writer.transaction();
            transaction.add(make("half"));
            tell.send(transaction.len()).unwrap();
            panic!("as the test wants it");
        };
        let panicked = std::thread::scope(|scope| scope.spawn(help).join().is_err());
        assert_eq!((panicked, told.recv().unwrap()), (true, 1));

        writer.push(make("after")).unwrap();
        let commit = writer.commit().unwrap();
        assert_eq!(commit.served.len(), 1, "what was half done is not answered for");
        assert!(durable.check().is_err());
        assert_eq!(tenants(), 1);
    }

    fn gathered(returns: &mut Returns, flushes: usize, out: usize) -> usize {
        let tried = |_: &usize| {
            let tries = returns.are_worth_it();
            if tries {
                (returns.answered, returns.out) = (16, out);
                returns.learn();
            }
            tries
        };
        (0..flushes).filter(tried).count()
    }

    #[test]
    fn who_is_late_time_after_time_is_waited_for_ever_more_rarely() {
        let mut returns = Returns::default();
        assert_eq!(gathered(&mut returns, 100, 4), 100);
        // After each try 1, 3, 7, 15 and then 31 flushes without one.
        assert_eq!(gathered(&mut returns, 31, 5), 5);
        assert_eq!(gathered(&mut returns, 320, 16), 10);
        // Who is back in time again is waited for at every flush soon.
        assert_eq!(gathered(&mut returns, 32 + 16 + 8 + 4 + 2, 0), 5);
        assert_eq!(gathered(&mut returns, 100, 0), 100);
    }
}
