//! The URLs that documents have linked to with `rel=preload`: what a route with `cache: assets` keeps.
//!
//! Bounded, in memory only: a document that is asked for again names its assets again.

use std::time::Duration;

use moka::sync::Cache;

use super::key::{TakeAsIs, UrlHash, UrlHasher};
use crate::{
    link::{self, Document, Target},
    push::Authority,
};

/// What documents have linked to.
#[derive(Debug)]
pub struct Assets {
    urls: Cache<UrlHash, (), TakeAsIs>,
    /// Link fields whose targets are among `urls`, so that they need not be looked at again.
    fields: Cache<UrlHash, (), TakeAsIs>,
}

/// URLs that are remembered: far more than a site has, and some twenty megabytes at most.
const MOST_URLS: u64 = 65_536;

/// Link fields that are remembered, and for how long: what was forgotten meanwhile is noted again.
const MOST_FIELDS: u64 = 4096;
const FIELDS_FOR: Duration = Duration::from_secs(60);

/// As many as a plan looks at.
const MOST_LINKS: usize = 1000;

impl Default for Assets {
    fn default() -> Self {
        Self {
            urls: Cache::builder()
                .max_capacity(MOST_URLS)
                .build_with_hasher(TakeAsIs::default()),
            fields: Cache::builder()
                .max_capacity(MOST_FIELDS)
                .time_to_live(FIELDS_FOR)
                .build_with_hasher(TakeAsIs::default()),
        }
    }
}

impl Assets {
    /// Whether a document has linked to it.
    #[must_use]
    pub fn contains(&self, url: UrlHash) -> bool {
        self.urls.contains_key(&url)
    }

    /// Remembers a URL.
    pub fn note(&self, url: UrlHash) {
        // To ask for it counts as a visit: what is used stays.
        if self.urls.get(&url).is_none() {
            self.urls.insert(url, ());
        }
    }

    /// Remembers what these Link fields of a document preload from its own origin, or from an authority that
    /// its route lists. The document is given as scheme, authority, and path with query.
    pub fn note_links<'f, F>(
        &self,
        hasher: &UrlHasher,
        (scheme, authority, path_and_query): (&str, &str, &str),
        listed: &[Authority],
        fields: impl Fn() -> F,
    ) where
        F: Iterator<Item = &'f [u8]>,
    {
        let folder = path_and_query.split('?').next().and_then(|path| path.rsplit_once('/'));
        let mut parts = hasher.parts();
        for part in [scheme, authority, folder.map_or("", |(folder, _)| folder)] {
            parts.add(part.as_bytes());
        }
        fields().for_each(|field| parts.add(field));
        let mark = UrlHash::from_bytes(parts.finish());
        if self.fields.contains_key(&mark) {
            return;
        }
        let Ok(document) = Document::new(scheme, authority, path_and_query) else {
            return;
        };
        let links = fields().flat_map(link::parse).take(MOST_LINKS).filter_map(Result::ok);
        for link in links.filter(|link| link.has_relation("preload")) {
            let Ok(target) = document.resolve(link.target) else {
                continue;
            };
            if document.is_same_origin(&target) || is_listed(&target, &document, listed) {
                self.note(hasher.url(target.scheme(), target.authority(), target.path_and_query()));
            }
        }
        self.fields.insert(mark, ());
    }
}

fn is_listed(target: &Target, document: &Document, listed: &[Authority]) -> bool {
    let default_port = if target.scheme() == "https" { 443 } else { 80 };
    target.scheme() == document.scheme()
        && listed
            .iter()
            .any(|one| *one.host == *target.host() && one.port.unwrap_or(default_port) == target.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHER: UrlHasher = UrlHasher::new((1, 2));

    fn note(assets: &Assets, path: &str, field: &str) {
        let listed = [Authority {
            host: "cdn.example".into(),
            port: None,
        }];
        let document = ("https", "shop.example", path);
        assets.note_links(&HASHER, document, &listed, || [field.as_bytes()].into_iter());
    }

    #[test]
    fn what_is_preloaded_from_here_is_an_asset() {
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
