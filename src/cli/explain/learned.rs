//! Applies the limits of learning to the links that a document is said to have had.

use crate::{
    learn::{MAX_LINK_BYTES, MAX_LINKS},
    link::{ResourceHint, Spelled},
    push::{Mention, SkipReason, Source},
};

/// The links of one document for which a server would have room.
#[derive(Debug)]
pub(super) struct LearnedLimits {
    learned: Vec<Spelled>,
}

impl LearnedLimits {
    /// Chooses from the links of one document as a server does.
    pub(super) fn of(mentions: &[Mention<'_>]) -> Self {
        let learned = mentions
            .iter()
            .filter_map(|mention| match (mention.source, &mention.link) {
                (Source::Learned | Source::Html, Ok(link)) => Some(ResourceHint::of(link)?.spelled()),
                _ => None,
            });
        let mut links: Vec<Spelled> = Vec::new();
        for link in learned.filter(|link| link.text().len() <= MAX_LINK_BYTES) {
            if !links.contains(&link) {
                links.push(link);
            }
        }
        if links.len() > MAX_LINKS {
            links.sort_by_key(Spelled::need);
            links.truncate(MAX_LINKS);
        }
        Self { learned: links }
    }

    /// Checks whether a server would have learned a link; returns its target and the reason if not. Links that are
    /// not learned at all are left to the plan.
    pub(super) fn check<'m>(&self, mention: &Mention<'m>) -> Result<(), (&'m [u8], SkipReason)> {
        let (Source::Learned | Source::Html, Ok(link)) = (mention.source, &mention.link) else {
            return Ok(());
        };
        let Some(spelled) = ResourceHint::of(link).map(|hint| hint.spelled()) else {
            return Ok(());
        };
        if spelled.text().len() > MAX_LINK_BYTES {
            Err((link.target, SkipReason::TooLong))
        } else if self.learned.contains(&spelled) {
            Ok(())
        } else {
            Err((link.target, SkipReason::TooManyLearned))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push;

    #[test]
    fn links_beyond_the_limits_are_not_learned() {
        let long = format!("</{}.css>; rel=preload; as=style", "x".repeat(MAX_LINK_BYTES));
        let mut lines: Vec<String> = (0..MAX_LINKS)
            .map(|n| format!("</{n}.js>; rel=preload; as=script"))
            .collect();
        lines.insert(1, long.clone());
        lines.insert(2, "</0.js>; as=script; rel=preload".to_owned());
        lines.push("</late.css>; rel=preload; as=style".to_owned());
        lines.push("</next>; rel=next".to_owned());
        let fields = lines.iter().map(|line| (Source::Learned, line.as_bytes()));
        let mentions = push::mentions(fields);
        let limits = LearnedLimits::of(&mentions);
        let reasons: Vec<_> = mentions
            .iter()
            .filter_map(|mention| limits.check(mention).err())
            .collect();
        let last = format!("/{}.js", MAX_LINKS - 1);
        let expected = [SkipReason::TooLong, SkipReason::TooManyLearned];
        assert_eq!(reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), expected);
        assert_eq!(reasons.last().map(|(target, _)| *target), Some(last.as_bytes()));
        // Other sources have other limits.
        let mentions = push::mentions([(Source::Response, long.as_bytes())]);
        assert!(mentions.iter().all(|mention| limits.check(mention).is_ok()));
    }
}
