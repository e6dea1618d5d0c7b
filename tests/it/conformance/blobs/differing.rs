//! Bodies as they come: large, in pieces, cut off, and other than was announced.

use std::sync::Arc;

use bytes::Bytes;
use millwork_host::capability::blobs::body::{Body, Pieces};
use millwork_host::capability::blobs::{BlobError, Blobs, Content, READ_BYTES_MAX};

use super::{assert_absent, keys, on_both, papers, put, read};

/// More than two parts of an upload in parts.
const LARGE: usize = (17 << 20) + 3;

fn pieces(all: Vec<Result<Bytes, BlobError>>) -> Pieces {
    Box::pin(futures_util::stream::iter(all))
}

/// Bytes of which no part is like another.
fn large() -> Bytes {
    let mut state = 1_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..LARGE).map(|_| next()).collect()
}

fn in_pieces(of: &Bytes, length: usize) -> Vec<Result<Bytes, BlobError>> {
    let starts = (0..of.len()).step_by(length);
    starts
        .map(|start| Ok(of.slice(start..(start + length).min(of.len()))))
        .collect()
}

async fn large_blobs_come_in_pieces(store: &Arc<dyn Blobs>) {
    let (papers, bytes) = (papers(), large());
    let at = papers.at("large");
    let content = Content::of(&bytes, "application/octet-stream");
    let body = Body::new(pieces(in_pieces(&bytes, 1_000_003)));
    let written = store.put(at, &content, body).await.unwrap();
    assert_eq!(written.content, content);
    let mut back = Vec::new();
    while back.len() < LARGE {
        let piece = store
            .read(at, Some(&written.version), back.len() as u64, READ_BYTES_MAX)
            .await
            .unwrap();
        assert!(!piece.is_empty());
        back.extend(piece);
    }
    assert!(back == bytes, "the bytes differ");
}

async fn of_a_body_that_differs_nothing_is_kept(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let at = papers.at("kept");
    let before = put(store, at, "before").await;
    let content = Content::of(b"announced", "text/plain");
    let cut_off = || Err(BlobError::Differs("cut off".to_owned()));
    for body in [
        vec![Ok(Bytes::from_static(b"other-bit"))],
        vec![Ok(Bytes::from_static(b"announce"))],
        vec![Ok(Bytes::from_static(b"announced")), Ok(Bytes::from_static(b"!"))],
        vec![Ok(Bytes::from_static(b"announced")), cut_off()],
        vec![],
    ] {
        let put = store.put(at, &content, Body::new(pieces(body))).await;
        assert!(matches!(put, Err(BlobError::Differs(_))), "{put:?}");
    }
    assert_eq!(store.stat(at, None).await.unwrap(), before);
    assert_eq!(store.versions(at, super::whole()).await.unwrap().entries.len(), 1);
}

async fn of_a_large_body_that_differs_nothing_is_kept(store: &Arc<dyn Blobs>) {
    let (papers, bytes) = (papers(), large());
    let at = papers.at("large");
    let content = Content::of(&bytes, "application/octet-stream");
    let mut changed = bytes.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let mut cut_off = in_pieces(&bytes, 1 << 20);
    cut_off.truncate(15);
    for body in [in_pieces(&Bytes::from(changed), 1 << 20), cut_off] {
        let put = store.put(at, &content, Body::new(pieces(body))).await;
        assert!(matches!(put, Err(BlobError::Differs(_))), "{put:?}");
    }
    assert_absent(&read(store, at, None).await);
    assert!(keys(store, &papers, "").await.is_empty());
}

on_both![
    large_blobs_come_in_pieces,
    of_a_body_that_differs_nothing_is_kept,
    of_a_large_body_that_differs_nothing_is_kept,
];
