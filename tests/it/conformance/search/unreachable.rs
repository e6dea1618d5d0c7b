//! A server that does not answer is unavailable, and that is known in bounded time.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use millwork_host::capability::search::elasticsearch::{
    ElasticsearchCredentials, ElasticsearchSearch, ElasticsearchSettings,
};
use millwork_host::capability::search::{Find, Search, SearchError};
use serde_json::json;

use super::{papers, put, tenant};

const TIMEOUT: Duration = Duration::from_millis(500);
/// As long as a busy machine may take over it.
const WITHIN: Duration = Duration::from_secs(20);

fn at(url: &str) -> ElasticsearchSearch {
    ElasticsearchSearch::new(ElasticsearchSettings {
        url: url.to_owned(),
        credentials: ElasticsearchCredentials::Basic {
            user: "u".to_owned(),
            password: "p".to_owned(),
        },
        request_timeout: TIMEOUT,
        ..ElasticsearchSettings::default()
    })
    .unwrap()
}

async fn fails_in_time(store: &ElasticsearchSearch) {
    let (of, started) = (papers(), Instant::now());
    let find = Find::parse(&of, "x", "", 1, None, Vec::new()).unwrap();
    let found = store.find(&tenant("a"), &of, &find).await;
    assert!(matches!(found, Err(SearchError::Failed(_))), "{found:?}");
    let written = store.write(&tenant("a"), &of, &[put(&of, "a", &json!({}))]).await;
    assert!(matches!(written, Err(SearchError::Failed(_))), "{written:?}");
    let suggested = store.suggest(&tenant("a"), &of, "title", "x", 1).await;
    assert!(matches!(suggested, Err(SearchError::Failed(_))), "{suggested:?}");
    assert!(started.elapsed() < WITHIN, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    fails_in_time(&at(&url)).await;
}

#[tokio::test]
async fn a_server_that_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fails_in_time(&at(&format!("http://{}", listener.local_addr().unwrap()))).await;
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    for (url, prefix) in [
        ("nowhere", "millwork-"),
        ("http://127.0.0.1:9200", "Upper-"),
        ("http://127.0.0.1:9200", ""),
    ] {
        let settings = ElasticsearchSettings {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            ..ElasticsearchSettings::default()
        };
        assert!(ElasticsearchSearch::new(settings).is_err(), "{url} {prefix}");
    }
}
