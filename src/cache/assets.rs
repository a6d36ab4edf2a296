//! Remembers the URLs that documents link to with `rel=preload`: a route with `cache: assets` stores their responses.
//!
//! The memory is bounded and not saved: the next response of a document names its assets again.

use std::time::Duration;

use moka::sync::Cache;

use super::rules::key::{TakeAsIs, UrlHash, UrlHasher};
use crate::{
    link::Document,
    push::{Mention, Policy},
};

/// The URLs that documents preload.
#[derive(Debug)]
pub struct Assets {
    urls: Cache<UrlHash, (), TakeAsIs>,
    /// Hashes of Link fields whose targets are in `urls`, so that the fields need not be parsed again.
    fields: Cache<UrlHash, (), TakeAsIs>,
}

/// URLs that are remembered: far more than a site has, in about 20 MB at most.
const MAX_URLS: u64 = 65_536;

/// Link fields that are remembered, and for how long: then URLs that `urls` has dropped meanwhile are noted again.
const MAX_FIELDS: u64 = 4096;
const FIELDS_FOR: Duration = Duration::from_secs(60);

impl Default for Assets {
    fn default() -> Self {
        Self {
            urls: Cache::builder()
                .max_capacity(MAX_URLS)
                .build_with_hasher(TakeAsIs::default()),
            fields: Cache::builder()
                .max_capacity(MAX_FIELDS)
                .time_to_live(FIELDS_FOR)
                .build_with_hasher(TakeAsIs::default()),
        }
    }
}

impl Assets {
    /// Returns whether a document preloads this URL.
    #[must_use]
    pub fn contains(&self, url: UrlHash) -> bool {
        self.urls.contains_key(&url)
    }

    /// Remembers a URL.
    pub fn note(&self, url: UrlHash) {
        // `get` counts as a visit, which keeps URLs in use from being evicted.
        if self.urls.get(&url).is_none() {
            self.urls.insert(url, ());
        }
    }

    /// Remembers the URLs that the Link fields of a document preload from its own origin, or from an authority that its
    /// route lists. The tuple is the document's scheme, authority, and path with query. `mentions`, the parsed fields,
    /// is called only for fields that are not remembered.
    pub fn note_links<'f, 'm>(
        &self,
        hasher: &UrlHasher,
        (scheme, authority, path_and_query): (&str, &str, &str),
        policy: &Policy,
        fields: impl Iterator<Item = &'f [u8]>,
        mentions: impl FnOnce() -> &'m [Mention<'m>],
    ) {
        let folder = path_and_query.split('?').next().and_then(|path| path.rsplit_once('/'));
        let mut parts = hasher.parts();
        for part in [scheme, authority, folder.map_or("", |(folder, _)| folder)] {
            parts.add(part.as_bytes());
        }
        fields.for_each(|field| parts.add(field));
        let mark = parts.finish();
        if self.fields.contains_key(&mark) {
            return;
        }
        let Ok(document) = Document::new(scheme, authority, path_and_query) else {
            return;
        };
        let links = mentions().iter().filter_map(|mention| mention.link.as_ref().ok());
        for link in links.filter(|link| link.has_relation("preload")) {
            let Ok(target) = document.resolve(link.target) else {
                continue;
            };
            if document.is_same_origin(&target) || policy.lists(&document, &target) {
                self.note(hasher.url(target.scheme(), target.authority(), target.path_and_query()));
            }
        }
        self.fields.insert(mark, ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::{Authority, Source, mentions};

    const HASHER: UrlHasher = UrlHasher::new((1, 2));

    fn note(assets: &Assets, path: &str, field: &str) {
        let policy = Policy {
            authorities: vec![Authority {
                host: "cdn.example".into(),
                port: None,
            }],
            ..Policy::default()
        };
        let document = ("https", "shop.example", path);
        let fields = [field.as_bytes()].into_iter();
        let mentions = mentions([(Source::Response, field.as_bytes())]);
        assets.note_links(&HASHER, document, &policy, fields, || &mentions);
    }

    #[test]
    fn preloads_of_the_own_origin_and_of_listed_authorities_are_assets() {
        let assets = Assets::default();
        let field = "</a.css>; rel=preload, <b.js>; rel=preload; nopush, </c>; rel=prefetch, \
                     <//cdn.example/d>; rel=preload, <//other.example/e>; rel=preload";
        note(&assets, "/shop/page?q", field);
        let is_asset = |authority: &str, path: &str| assets.contains(HASHER.url("https", authority, path));
        assert!(is_asset("Shop.Example:443", "/a.css"));
        assert!(is_asset("shop.example", "/shop/b.js"));
        assert!(is_asset("cdn.example", "/d"));
        assert!(!is_asset("shop.example", "/c"));
        assert!(!is_asset("other.example", "/e"));
        assert!(!is_asset("shop.example", "/shop/page?q"));
    }

    #[test]
    fn the_same_field_in_another_folder_names_other_assets() {
        let assets = Assets::default();
        note(&assets, "/one/", "<a.css>; rel=preload");
        note(&assets, "/two/", "<a.css>; rel=preload");
        assert!(assets.contains(HASHER.url("https", "shop.example", "/two/a.css")));
    }
}
