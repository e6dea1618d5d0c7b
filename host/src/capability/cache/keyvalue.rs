//! `wasi:keyvalue` over the cache: a bucket is a part of the component's own keys. Everything goes through [`CacheCall`], so
//! grants, limits and budget stand there alone.

use wasmtime::component::{HasData, Resource, ResourceTable};

use super::component::CacheCall;
use crate::bindings::Bucket;
use crate::bindings::imports::millwork::cache::cache::{self, Host as _};
use crate::bindings::standard::wasi::keyvalue::store::{Error, KeyResponse};
use crate::bindings::standard::wasi::keyvalue::{atomics, store};

/// Longest name of a bucket, in bytes.
const BUCKET_BYTES_MAX: usize = 64;
/// How long a value is kept: as long as `millwork:cache` can say.
const TTL_MS: u32 = u32::MAX;

/// Keys and values as one call sees them.
pub struct KeyvalueCall<'a> {
    cache: &'a mut CacheCall,
    buckets: &'a mut ResourceTable,
}

/// For the linker.
pub struct HasKeyvalue;

impl HasData for HasKeyvalue {
    type Data<'a> = KeyvalueCall<'a>;
}

impl<'a> KeyvalueCall<'a> {
    /// Over a call's cache; open buckets are kept in its table.
    #[must_use]
    pub fn new(cache: &'a mut CacheCall, buckets: &'a mut ResourceTable) -> Self {
        Self { cache, buckets }
    }

    /// A key of a bucket among the component's keys. Names of buckets hold no colon, so no two of them meet.
    fn key(&self, bucket: &Resource<Bucket>, key: &str) -> wasmtime::Result<String> {
        let Bucket(name) = self.buckets.get(bucket)?;
        Ok(format!("kv:{name}:{key}"))
    }
}

impl store::Host for KeyvalueCall<'_> {
    async fn open(&mut self, identifier: String) -> wasmtime::Result<Result<Resource<Bucket>, Error>> {
        if let Err(error) = self.cache.check()? {
            return Ok(Err(told(error)));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if identifier.len() > BUCKET_BYTES_MAX || !identifier.bytes().all(is_plain) {
            return Ok(Err(Error::NoSuchStore));
        }
        Ok(Ok(self.buckets.push(Bucket(identifier))?))
    }
}

impl store::HostBucket for KeyvalueCall<'_> {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let key = self.key(&bucket, &key)?;
        Ok(self.cache.get(key).await?.map_err(told))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let key = self.key(&bucket, &key)?;
        Ok(self.cache.put(key, value, TTL_MS).await?.map_err(told))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<(), Error>> {
        let key = self.key(&bucket, &key)?;
        Ok(self.cache.remove(key).await?.map(drop).map_err(told))
    }

    async fn exists(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let key = self.key(&bucket, &key)?;
        let found = self.cache.get(key).await?;
        Ok(found.map(|value| value.is_some()).map_err(told))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let prefix = self.key(&bucket, "")?;
        let Ok(after) = cursor.map(|cursor| cursor.parse()).transpose() else {
            return Ok(Err(Error::Other(
                "this cursor was not given by this host".to_owned(),
            )));
        };
        let page = self.cache.keys(&prefix, after).await?;
        let response = page.map(|page| KeyResponse {
            keys: page.keys,
            cursor: page.next.map(|next| next.to_string()),
        });
        Ok(response.map_err(told))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.buckets.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for KeyvalueCall<'_> {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, Error>> {
        let key = self.key(&bucket, &key)?;
        Ok(self.cache.add(key, delta, TTL_MS).await?.map_err(told))
    }
}

fn told(error: cache::Error) -> Error {
    match error {
        cache::Error::Denied(_) => Error::AccessDenied,
        cache::Error::TooLarge(why) => Error::Other(why),
        cache::Error::Unavailable => Error::Other("the server cannot be reached".to_owned()),
    }
}
