//! Turns the manifests of a store into those of a file, and back.

use std::{borrow::Cow, sync::Arc};

use super::ManifestStore;
use crate::{
    learn::{
        division::{Division, Variants},
        file::{Saved, SavedDivision},
        manifest::{LearnedLink, Manifest},
    },
    link::Spelled,
};

impl ManifestStore {
    /// Returns the documents with links that are delivered early now, and those that are divided.
    #[must_use]
    pub fn snapshot(&self, now: u64) -> Vec<Saved<'static>> {
        let known = self.manifests.iter().map(|(key, stored)| {
            let manifest = stored.lock();
            let text = |link: &LearnedLink| String::from_utf8_lossy(link.link.text()).into_owned().into();
            let [csp, page_csp] = manifest
                .policy_texts()
                .map(|text| text.map(|text| text.to_owned().into()));
            Saved {
                key: *key,
                last_seen: manifest.last_seen(),
                links: manifest.links(now).iter().map(text).collect(),
                csp,
                page_csp,
                division: manifest.variants().map(Self::saved),
            }
        });
        known
            .filter(|saved| !saved.links.is_empty() || saved.division.is_some())
            .collect()
    }

    fn saved(variants: &Variants) -> SavedDivision<'static> {
        let division = variants.division();
        SavedDivision {
            fields: division.fields().iter().map(|name| name.to_string().into()).collect(),
            parameters: division
                .parameters()
                .iter()
                .map(|name| name.to_string().into())
                .collect(),
            variants: variants.keys().collect(),
        }
    }

    /// Inserts a document from a file.
    pub fn restore(&self, saved: &Saved<'_>) {
        let manifest = match &saved.division {
            Some(division) => {
                let divided_by = Division::new(
                    division.fields.iter().map(|name| &**name),
                    division.parameters.iter().map(|name| &**name),
                );
                let variants = Variants::restored(divided_by, division.variants.iter().copied());
                Manifest::divided(variants, saved.last_seen)
            }
            None => {
                let links: Vec<_> = saved
                    .links
                    .iter()
                    .filter_map(|link| Spelled::read(link.as_bytes()))
                    .collect();
                let policies = [&saved.csp, &saved.page_csp].map(|text| text.as_ref().map(Cow::as_ref));
                Manifest::restored(&links, policies, saved.last_seen)
            }
        };
        self.manifests.insert(saved.key, Arc::new(self.stored(manifest)));
    }
}
