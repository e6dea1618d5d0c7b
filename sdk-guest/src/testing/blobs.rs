//! What stands in for blobs in native tests: nothing expires, and links lead nowhere.

use std::cell::RefCell;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

pub(crate) use crate::bindings::lifecycle::millwork::blobs::blobs::{
    Entry, EntryList, Error, Info, Link, Upload, Version, VersionList,
};
use crate::clock;

/// The oldest version first, and whether the key was taken away after the last.
#[derive(Default)]
struct Kept {
    versions: Vec<(Info, Vec<u8>)>,
    removed: bool,
}

type Key = (String, String);

thread_local! {
    static KEPT: RefCell<BTreeMap<Key, Kept>> = RefCell::default();
}

/// Forgets everything.
pub(super) fn clear() {
    KEPT.with_borrow_mut(BTreeMap::clear);
}

pub(crate) fn put(bucket: &str, key: &str, body: &[u8], media_type: &str) -> Result<Info, Error> {
    KEPT.with_borrow_mut(|all| {
        let kept = all.entry(named(bucket, key)).or_default();
        let info = Info {
            version: format!("v{}", kept.versions.len() + 1),
            size: body.len() as u64,
            media_type: media_type.to_owned(),
            sha256: hex::encode(Sha256::digest(body)),
            written_at: clock::now().millis(),
        };
        kept.versions.push((info.clone(), body.to_vec()));
        kept.removed = false;
        Ok(info)
    })
}

pub(crate) fn read(
    bucket: &str,
    key: &str,
    version: Option<&str>,
    offset: u64,
    length: u32,
) -> Result<Vec<u8>, Error> {
    let (_, body) = find(bucket, key, version)?;
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    Ok(body.into_iter().skip(start).take(length as usize).collect())
}

pub(crate) fn stat(bucket: &str, key: &str, version: Option<&str>) -> Result<Info, Error> {
    find(bucket, key, version).map(|(info, _)| info)
}

pub(crate) fn remove(bucket: &str, key: &str) -> Result<(), Error> {
    KEPT.with_borrow_mut(|all| {
        if let Some(kept) = all.get_mut(&named(bucket, key)) {
            kept.removed = true;
        }
    });
    Ok(())
}

pub(crate) fn page(bucket: &str, prefix: &str, cursor: Option<&str>, limit: u32) -> Result<EntryList, Error> {
    let mut entries: Vec<Entry> = KEPT.with_borrow(|all| {
        let there = all.iter().filter(|((own, key), kept)| {
            own == bucket
                && key.starts_with(prefix)
                && cursor.is_none_or(|after| key.as_str() > after)
                && !kept.removed
        });
        let entry = |((_, key), kept): (&Key, &Kept)| {
            let (info, _) = kept.versions.last()?;
            Some(Entry {
                key: key.clone(),
                size: info.size,
                written_at: info.written_at,
            })
        };
        there.filter_map(entry).collect()
    });
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|last| last.key.clone());
    Ok(EntryList { entries, next })
}

pub(crate) fn versions(
    bucket: &str,
    key: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<VersionList, Error> {
    let all: Vec<Version> = KEPT.with_borrow(|all| {
        let kept = all.get(&named(bucket, key)).map(|kept| kept.versions.as_slice());
        let newest_first = kept.unwrap_or_default().iter().rev();
        newest_first
            .map(|(info, _)| Version {
                version: info.version.clone(),
                size: info.size,
                written_at: info.written_at,
            })
            .collect()
    });
    let start = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let (end, count) = (start + limit as usize, all.len());
    Ok(VersionList {
        versions: all.into_iter().skip(start).take(limit as usize).collect(),
        next: (end < count).then(|| end.to_string()),
    })
}

pub(crate) fn presign_get(bucket: &str, key: &str, version: Option<&str>, ttl_s: u32) -> Result<Link, Error> {
    let info = stat(bucket, key, version)?;
    let url = format!("memory://get/{bucket}/{key}?version={}", info.version);
    Ok(link(url, Vec::new(), ttl_s))
}

pub(crate) fn presign_put(bucket: &str, key: &str, upload: &Upload, ttl_s: u32) -> Result<Link, Error> {
    let headers = vec![("content-type".to_owned(), upload.media_type.clone())];
    Ok(link(format!("memory://put/{bucket}/{key}"), headers, ttl_s))
}

fn link(url: String, headers: Vec<(String, String)>, ttl_s: u32) -> Link {
    Link {
        url,
        headers,
        ends_at: clock::now().millis() + u64::from(ttl_s) * 1_000,
    }
}

fn find(bucket: &str, key: &str, version: Option<&str>) -> Result<(Info, Vec<u8>), Error> {
    KEPT.with_borrow(|all| {
        let kept = all.get(&named(bucket, key)).ok_or(Error::NotFound)?;
        let found = match version {
            Some(version) => kept.versions.iter().find(|(info, _)| info.version == version),
            None => kept.versions.last().filter(|_| !kept.removed),
        };
        found.cloned().ok_or(Error::NotFound)
    })
}

fn named(bucket: &str, key: &str) -> Key {
    (bucket.to_owned(), key.to_owned())
}
