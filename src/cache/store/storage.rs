//! Implements Pingora's `Storage` for the store, and its handlers for reading and writing one response.

use std::{any::Any, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{Error, ErrorType, OrErr as _, Result};
use pingora_cache::{
    CacheKey, CacheMeta, HitHandler, MissHandler, PurgeType, Storage,
    storage::{HandleHit, HandleMiss, MissFinishType, PurgeOutcome, PurgeTarget, streaming_write::U64WriteId},
    trace::SpanHandle,
};

use super::{
    memory::Store,
    trail::{Revalidating, Trail, entry_of},
};
use crate::cache::{
    body::Body,
    fill::{Fill, FillSource, Reader},
    object::{Head, Object},
    purge::Begun,
    rules::key::EntryKey,
};

fn begun(key: &CacheKey) -> Begun {
    Trail::of(key).map(|trail| trail.begun).unwrap_or_default()
}

fn note(key: &CacheKey, found: Option<u64>) {
    if let Some(trail) = Trail::of(key) {
        trail.note(found);
    }
}

/// The stored response of a look-up. Rides in the extensions of its `CacheMeta`, so that a revalidation updates this
/// response and no other.
type FoundObject = Arc<Object>;

#[async_trait]
impl Storage for Store {
    async fn lookup(&'static self, key: &CacheKey, _trace: &SpanHandle) -> Result<Option<(CacheMeta, HitHandler)>> {
        let entry = entry_of(key);
        // A response still arriving is newer than a stored one.
        for fill in self.fills_of(entry) {
            if self.may_follow(&fill, &key.user_tag)
                && let Some(reader) = fill.reader()
            {
                note(key, Some(fill.id));
                let handler: HitHandler = Box::new(Following(reader));
                return Ok(Some((fill.head.meta(), handler)));
            }
        }
        let Some(object) = self.get(entry).filter(|object| *object.head.upstream == *key.user_tag) else {
            note(key, None);
            return Ok(None);
        };
        note(key, Some(object.id));
        let mut meta = object.head.meta();
        let handler = Reading::new(object.body.clone());
        meta.extensions_mut().insert::<FoundObject>(object);
        Ok(Some((meta, Box::new(handler))))
    }

    async fn lookup_streaming_write(
        &'static self,
        key: &CacheKey,
        tag: Option<&[u8]>,
        trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Some(tag) = tag else {
            return self.lookup(key, trace).await;
        };
        let id = U64WriteId::try_from(tag).or_err(ErrorType::InternalError, "a tag of another store")?;
        let id = u64::from(id);
        let fills = self.fills_of(entry_of(key));
        // Pingora calls this once, for the request that fetches the response.
        let found = fills.into_iter().find(|fill| fill.id == id);
        Ok(found.map(|fill| {
            let reader: HitHandler = Box::new(Following(fill.own_reader()));
            (fill.head.meta(), reader)
        }))
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<MissHandler> {
        let url = key.primary_key_str().unwrap_or_default();
        let head = Head::of(meta, url, &key.user_tag);
        let entry = entry_of(key);
        let source = meta.extensions().get::<FillSource>();
        let fill = self.fill(entry, head, begun(key), source);
        Ok(Box::new(Writing {
            tag: fill.id.into(),
            fill,
            entry,
            store: self,
        }))
    }

    async fn purge(
        &'static self,
        target: PurgeTarget<'_>,
        _purge_type: PurgeType,
        _trace: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        Ok(if self.remove(entry_of(target.key())) {
            PurgeOutcome::Purged(None)
        } else {
            PurgeOutcome::NotFound
        })
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _trace: &SpanHandle) -> Result<bool> {
        let Some(found) = meta.extensions().get::<FoundObject>() else {
            return Ok(false);
        };
        let mut head = Head::of(meta, &found.head.url, &found.head.upstream);
        let old = entry_of(key);
        let mut new = old;
        if head.vary != found.head.vary {
            let Some(Revalidating(variance)) = meta.extensions().get() else {
                self.remove(old);
                return Ok(false);
            };
            head.vary_anew(*variance, meta.updated());
            // The response is the first one of its URL now.
            new.variance = None;
        }
        let object = Object::new(self.next_id(), head, found.body.clone());
        Ok(self.replace((old, found), new, object, begun(key)))
    }

    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// Reads a stored response, or a range of it.
struct Reading {
    body: Body,
    left: Range<usize>,
}

impl Reading {
    fn new(body: Body) -> Self {
        Self {
            left: 0..body.len(),
            body,
        }
    }
}

#[async_trait]
impl HandleHit for Reading {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        let piece = self.body.piece(&self.left);
        self.left.start += piece.as_ref().map_or(0, Bytes::len);
        Ok(piece)
    }

    async fn finish(
        self: Box<Self>,
        _storage: &'static (dyn Storage + Sync),
        _key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let length = self.body.len();
        if start >= length {
            return Error::e_explain(ErrorType::InternalError, "a range beyond the end");
        }
        self.left = start..end.map_or(length, |end| end.min(length));
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// Reads a response that is still arriving.
struct Following(Reader);

#[async_trait]
impl HandleHit for Following {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        let read = self.0.read().await;
        read.or_err(ErrorType::ReadError, "while reading a response that is still arriving")
    }

    async fn finish(
        self: Box<Self>,
        _storage: &'static (dyn Storage + Sync),
        _key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// Writes a response. If dropped before its end, nothing is stored.
struct Writing {
    fill: Arc<Fill>,
    tag: U64WriteId,
    entry: EntryKey,
    store: &'static Store,
}

#[async_trait]
impl HandleMiss for Writing {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        let written = self.fill.write(data);
        written.or_err(ErrorType::WriteError, "while storing a response")
    }

    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        let written = self.fill.written();
        if self.fill.head.length().is_some_and(|length| length != written) {
            return Error::e_explain(
                ErrorType::ConnectionClosed,
                "a response is shorter than its Content-Length",
            );
        }
        if let Some(body) = self.fill.whole() {
            let object = Object::new(self.fill.id, self.fill.head.clone(), body);
            self.store.insert(self.entry, object, self.fill.begun);
        } else {
            // The response was too large. The one stored before is outdated.
            self.store.remove(self.entry);
        }
        self.fill.complete();
        Ok(MissFinishType::Created(written))
    }

    fn streaming_write_tag(&self) -> Option<&[u8]> {
        Some(self.tag.as_bytes())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Does nothing after `complete`.
        self.fill.abort();
        self.store.forget_fill(self.entry, self.fill.id);
    }
}
