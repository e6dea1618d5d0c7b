//! Sessions. The time is one that each case makes up; by that of the clock they last an hour at least.

use std::time::Duration;

use millwork_host::capability::sessions::memory::MemorySessions;
use millwork_host::capability::sessions::redis::RedisSessions;
use millwork_host::capability::sessions::{Handle, Realm, Session, Sessions};
use millwork_registry::generation::TenantRecord;

use super::on_every_backend;
use super::redis::link;

struct Memory(MemorySessions);

impl Memory {
    fn store(&self) -> &MemorySessions {
        &self.0
    }
}

async fn start_memory() -> Memory {
    Memory(MemorySessions::new())
}

struct Redis(RedisSessions);

impl Redis {
    fn store(&self) -> &RedisSessions {
        &self.0
    }
}

async fn start_redis() -> Option<Redis> {
    Some(Redis(RedisSessions::new(link()?)))
}

on_every_backend! {
    backends: { memory: start_memory },
    servers: { redis: start_redis },
    cases: [
        a_session_is_found_as_it_was_begun,
        a_session_unused_ends,
        a_session_in_use_ends_at_its_bound,
        a_session_of_one_tenant_is_nothing_at_another,
        a_session_is_nothing_at_a_tenant_that_has_the_id_later,
        a_session_ended_is_gone,
        only_its_user_ends_a_session,
        all_of_a_user_end_and_no_others,
        the_oldest_goes_when_there_are_too_many,
        those_that_are_over_do_not_count,
        racers_never_keep_more_than_they_may,
        racers_do_not_revive_what_was_ended,
    ],
}

/// When all cases begin.
const NOW: u64 = 1_790_000_000_000;
const IDLE_MS: u64 = 3_600_000;
const IDLE: Duration = Duration::from_millis(IDLE_MS);
const LONGEST_MS: u64 = 4 * IDLE_MS;
const MANY: usize = 100;

fn session(id: &str, user: &str, created_at: u64) -> Session {
    let mut session = Session {
        handle: Handle::of(id),
        user: user.to_owned(),
        roles: vec!["editor".to_owned(), "invoicing.clerk".to_owned()],
        label: format!("Ada's {id} {{\"ö\"}}"),
        created_at,
        seen_at: created_at,
        expires_at: created_at,
        ends_at: created_at + LONGEST_MS,
    };
    session.see(created_at, IDLE);
    session
}

fn record(name: &str, life: Option<&str>) -> TenantRecord {
    TenantRecord {
        id: super::tenant(name),
        name: name.to_owned(),
        created_at_ms: 0,
        profile: None,
        life: life.map(str::to_owned),
        leaving_since_ms: None,
    }
}

fn realm(name: &str) -> Realm {
    Realm::of(&record(name, None))
}

async fn begin(sessions: &dyn Sessions, id: &str, user: &str, at: u64) -> Session {
    let session = session(id, user, at);
    sessions.begin(&realm("acme"), &session, MANY).await.unwrap();
    session
}

async fn touch(sessions: &dyn Sessions, of: &str, id: &str, now: u64) -> Option<Session> {
    let handle = Handle::of(id);
    sessions.touch(&realm(of), &handle, now, IDLE).await.unwrap()
}

/// Which of these are there.
async fn alive(sessions: &dyn Sessions, ids: &[&'static str], now: u64) -> Vec<&'static str> {
    let mut alive = Vec::new();
    for id in ids {
        if touch(sessions, "acme", id, now).await.is_some() {
            alive.push(*id);
        }
    }
    alive
}

async fn handles(sessions: &dyn Sessions, user: &str, now: u64) -> Vec<Handle> {
    let listed = sessions.list(&realm("acme"), user, now).await.unwrap();
    listed.into_iter().map(|session| session.handle).collect()
}

async fn a_session_is_found_as_it_was_begun(sessions: &dyn Sessions) {
    let mut begun = begin(sessions, "a", "ada", NOW).await;
    assert_eq!(
        sessions.list(&realm("acme"), "ada", NOW).await.unwrap(),
        [begun.clone()]
    );
    let found = touch(sessions, "acme", "a", NOW + 7).await.unwrap();
    begun.seen_at = NOW + 7;
    begun.expires_at = NOW + 7 + IDLE_MS;
    assert_eq!(found, begun);
    assert_eq!(sessions.list(&realm("acme"), "ada", NOW).await.unwrap(), [begun]);
    assert_eq!(touch(sessions, "acme", "b", NOW).await, None);
    assert!(handles(sessions, "bob", NOW).await.is_empty());
}

async fn a_session_unused_ends(sessions: &dyn Sessions) {
    begin(sessions, "a", "ada", NOW).await;
    assert!(touch(sessions, "acme", "a", NOW + IDLE_MS - 1).await.is_some());
    assert_eq!(handles(sessions, "ada", NOW + 2 * IDLE_MS - 2).await.len(), 1);
    assert!(handles(sessions, "ada", NOW + 2 * IDLE_MS - 1).await.is_empty());
    assert_eq!(touch(sessions, "acme", "a", NOW + 2 * IDLE_MS - 1).await, None);
}

async fn a_session_in_use_ends_at_its_bound(sessions: &dyn Sessions) {
    let begun = begin(sessions, "a", "ada", NOW).await;
    for step in 1..8 {
        let found = touch(sessions, "acme", "a", NOW + step * IDLE_MS / 2)
            .await
            .unwrap();
        assert!(found.expires_at <= begun.ends_at && found.ends_at == begun.ends_at);
    }
    assert!(touch(sessions, "acme", "a", begun.ends_at - 1).await.is_some());
    assert_eq!(touch(sessions, "acme", "a", begun.ends_at).await, None);
}

async fn a_session_is_nothing_at_a_tenant_that_has_the_id_later(sessions: &dyn Sessions) {
    let begun = begin(sessions, "a", "ada", NOW).await;
    let later = Realm::of(&record("acme", Some("b7")));
    let found = sessions.touch(&later, &begun.handle, NOW, IDLE).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(sessions.list(&later, "ada", NOW).await.unwrap(), []);
    assert!(!sessions.end(&later, "ada", &begun.handle).await.unwrap());
    assert_eq!(sessions.end_all(&later, "ada", NOW).await.unwrap(), 0);
    assert_eq!(alive(sessions, &["a"], NOW).await, ["a"]);
}

async fn a_session_of_one_tenant_is_nothing_at_another(sessions: &dyn Sessions) {
    let begun = begin(sessions, "a", "ada", NOW).await;
    let other = realm("zenith");
    assert_eq!(touch(sessions, "zenith", "a", NOW).await, None);
    assert!(sessions.list(&other, "ada", NOW).await.unwrap().is_empty());
    assert!(!sessions.end(&other, "ada", &begun.handle).await.unwrap());
    assert_eq!(sessions.end_all(&other, "ada", NOW).await.unwrap(), 0);
    assert!(touch(sessions, "acme", "a", NOW).await.is_some());
}

async fn a_session_ended_is_gone(sessions: &dyn Sessions) {
    let begun = begin(sessions, "a", "ada", NOW).await;
    begin(sessions, "b", "ada", NOW).await;
    assert!(sessions.end(&realm("acme"), "ada", &begun.handle).await.unwrap());
    assert!(!sessions.end(&realm("acme"), "ada", &begun.handle).await.unwrap());
    assert_eq!(alive(sessions, &["a", "b"], NOW).await, ["b"]);
    assert_eq!(handles(sessions, "ada", NOW).await, [Handle::of("b")]);
}

async fn only_its_user_ends_a_session(sessions: &dyn Sessions) {
    let begun = begin(sessions, "a", "ada", NOW).await;
    for other in ["bob", "", "ada ", "of:ada"] {
        assert!(!sessions.end(&realm("acme"), other, &begun.handle).await.unwrap());
    }
    assert_eq!(alive(sessions, &["a"], NOW).await, ["a"]);
}

async fn all_of_a_user_end_and_no_others(sessions: &dyn Sessions) {
    for (at, id) in ["a", "b", "c"].iter().enumerate() {
        begin(sessions, id, "ada", NOW + at as u64).await;
    }
    begin(sessions, "d", "bob", NOW).await;
    begin(sessions, "e", "ada}:{x", NOW).await;
    let over_at = NOW + IDLE_MS + 1;
    assert_eq!(
        touch(sessions, "acme", "d", over_at - 2)
            .await
            .map(|session| session.user)
            .unwrap(),
        "bob"
    );
    // By then one of the three has ended by itself, and another has not since it was used.
    assert!(touch(sessions, "acme", "b", over_at - 2).await.is_some());
    assert_eq!(sessions.end_all(&realm("acme"), "ada", over_at).await.unwrap(), 2);
    assert_eq!(sessions.end_all(&realm("acme"), "ada", over_at).await.unwrap(), 0);
    assert_eq!(alive(sessions, &["a", "b", "c", "d", "e"], NOW).await, ["d", "e"]);
}

async fn the_oldest_goes_when_there_are_too_many(sessions: &dyn Sessions) {
    let (acme, ids) = (realm("acme"), ["a", "b", "c", "d"]);
    begin(sessions, "bob's", "bob", NOW).await;
    for (at, id) in (0..).zip(ids) {
        let session = session(id, "ada", NOW + at);
        sessions.begin(&acme, &session, 3).await.unwrap();
        // The oldest goes, not the one that was used longest ago.
        assert!(touch(sessions, "acme", ids[0], NOW + 9).await.is_some() || at == 3);
    }
    assert_eq!(alive(sessions, &ids, NOW + 9).await, ["b", "c", "d"]);
    assert_eq!(
        handles(sessions, "ada", NOW + 9).await,
        ["b", "c", "d"].map(Handle::of)
    );
    // With a lower bound than before, more than one goes.
    sessions
        .begin(&acme, &session("e", "ada", NOW + 9), 2)
        .await
        .unwrap();
    assert_eq!(
        alive(sessions, &["b", "c", "d", "e", "bob's"], NOW + 9).await,
        ["d", "e", "bob's"]
    );
    sessions
        .begin(&acme, &session("f", "ada", NOW + 10), 1)
        .await
        .unwrap();
    assert_eq!(handles(sessions, "ada", NOW + 10).await, [Handle::of("f")]);
}

async fn those_that_are_over_do_not_count(sessions: &dyn Sessions) {
    begin(sessions, "used", "ada", NOW).await;
    begin(sessions, "over", "ada", NOW + 1).await;
    let later = NOW + 1 + IDLE_MS;
    assert!(touch(sessions, "acme", "used", later - 2).await.is_some());
    sessions
        .begin(&realm("acme"), &session("new", "ada", later), 2)
        .await
        .unwrap();
    assert_eq!(
        alive(sessions, &["used", "over", "new"], later).await,
        ["used", "new"]
    );
}

async fn racers_never_keep_more_than_they_may(sessions: &dyn Sessions) {
    let runtime = tokio::runtime::Handle::current();
    let ids: Vec<String> = (0..32).map(|number| number.to_string()).collect();
    std::thread::scope(|scope| {
        for ids in ids.chunks(8) {
            let runtime = runtime.clone();
            scope.spawn(move || {
                for id in ids {
                    let session = session(id, "ada", NOW);
                    runtime
                        .block_on(sessions.begin(&realm("acme"), &session, 5))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(handles(sessions, "ada", NOW).await.len(), 5);
    let mut alive = 0;
    for id in &ids {
        alive += usize::from(touch(sessions, "acme", id, NOW).await.is_some());
    }
    assert_eq!(alive, 5);
}

async fn racers_do_not_revive_what_was_ended(sessions: &dyn Sessions) {
    let runtime = tokio::runtime::Handle::current();
    for round in 0..20_u64 {
        let id = round.to_string();
        begin(sessions, &id, "ada", NOW).await;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for step in 0..10 {
                        drop(runtime.block_on(touch(sessions, "acme", &id, NOW + step)));
                    }
                });
            }
            scope.spawn(|| {
                let ended = runtime.block_on(sessions.end_all(&realm("acme"), "ada", NOW));
                assert_eq!(ended.unwrap(), 1, "round {round}");
            });
        });
        assert_eq!(touch(sessions, "acme", &id, NOW).await, None, "round {round}");
        assert!(handles(sessions, "ada", NOW).await.is_empty());
    }
}

#[tokio::test]
async fn a_process_keeps_so_many_and_refuses_more_rather_than_forget_one() {
    let sessions = MemorySessions::keeping(2);
    let acme = realm("acme");
    for id in ["a", "b"] {
        begin(&sessions, id, id, NOW).await;
    }
    let third = session("c", "c", NOW + IDLE_MS - 1);
    assert!(sessions.begin(&acme, &third, MANY).await.is_err());
    assert_eq!(alive(&sessions, &["a"], NOW + IDLE_MS - 1).await, ["a"]);
    // One has ended meanwhile.
    let third = session("c", "c", NOW + IDLE_MS);
    sessions.begin(&acme, &third, MANY).await.unwrap();
    assert_eq!(
        alive(&sessions, &["a", "b", "c"], NOW + IDLE_MS).await,
        ["a", "c"]
    );
    // Whoever has as many as they may changes nothing in the number of all.
    let again = session("d", "c", NOW + IDLE_MS);
    sessions.begin(&acme, &again, 1).await.unwrap();
    assert_eq!(
        alive(&sessions, &["a", "c", "d"], NOW + IDLE_MS).await,
        ["a", "d"]
    );
}
