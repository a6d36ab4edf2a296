//! Applies the limits of learning to the links that a document is said to have had.

use crate::{
    learn::{MAX_LINK_BYTES, MAX_LINKS},
    link::{ResourceHint, Spelled},
    push::{Mention, SkipReason, Source},
};

/// The links of one document that a server would have learned, as they are passed over one by one.
#[derive(Debug, Default)]
pub(super) struct LearnedLimits {
    learned: Vec<Spelled>,
}

impl LearnedLimits {
    /// Checks whether a server would have learned the next link; returns its target and the reason if not. Links that are
    /// not learned at all are left to the plan.
    pub(super) fn check<'m>(&mut self, mention: &Mention<'m>) -> Result<(), (&'m [u8], SkipReason)> {
        let (Source::Learned | Source::Html, Ok(link)) = (mention.source, &mention.link) else {
            return Ok(());
        };
        let Some(spelled) = ResourceHint::of(link).map(|hint| hint.spelled()) else {
            return Ok(());
        };
        if self.learned.contains(&spelled) {
            return Ok(());
        }
        if self.learned.len() >= MAX_LINKS {
            return Err((link.target, SkipReason::TooManyLearned));
        }
        let is_long = spelled.text().len() > MAX_LINK_BYTES;
        // A long one takes a place nevertheless.
        self.learned.push(spelled);
        if is_long {
            return Err((link.target, SkipReason::TooLong));
        }
        Ok(())
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
            .map(|n| format!("</{n}.css>; rel=preload; as=style"))
            .collect();
        lines.insert(1, long.clone());
        lines.insert(2, "</0.css>; as=style; rel=preload".to_owned());
        lines.push("</next>; rel=next".to_owned());
        let fields = lines.iter().map(|line| (Source::Learned, line.as_bytes()));
        let mut limits = LearnedLimits::default();
        let mentions = push::mentions(fields);
        let reasons: Vec<_> = mentions
            .iter()
            .filter_map(|mention| limits.check(mention).err())
            .collect();
        let last = format!("/{}.css", MAX_LINKS - 1);
        let expected = [SkipReason::TooLong, SkipReason::TooManyLearned];
        assert_eq!(reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), expected);
        assert_eq!(reasons.last().map(|(target, _)| *target), Some(last.as_bytes()));
        // Other sources have other limits.
        let mentions = push::mentions([(Source::Response, long.as_bytes())]);
        assert!(mentions.iter().all(|mention| limits.check(mention).is_ok()));
    }
}
