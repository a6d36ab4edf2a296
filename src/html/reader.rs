//! The stages that a body goes through, and what bounds them.
//!
//! Time is linear in the bytes that are read, which are bounded, and a reader that is done takes no more. Memory is
//! bounded, too: the links, which are made of what is read; what one piece of the body decodes to, at most
//! `text_bytes`; 26 attributes of `attribute_bytes`; about 30 KiB of text on its way to the tokenizer; and the window
//! of the content coding (see `content`). All but the links is freed when the head ends.

use html5gum::Tokenizer;

use super::{
    content::{self, ContentDecoder, Decoded, DecodedText, Feed, Rest, Starved, TextSource},
    head::{HeadEvent, HeadReader, Page},
    link::{HtmlLink, Tier},
    reason::{HtmlReason, HtmlSkip},
};
use crate::link::Document;

/// What is read of one document at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body, as it comes.
    pub body_bytes: usize,
    /// Bytes of the body once its content coding is undone.
    pub text_bytes: usize,
    /// Tags, of start and of end.
    pub tags: usize,
    /// Links, and as many elements that are passed over.
    pub links: usize,
    /// Bytes of one attribute's value: a longer one is no URL that is asked for.
    pub attribute_bytes: usize,
}

impl Default for Limits {
    /// 128 KiB of the body and of its text, 10,000 tags, 500 links, 4 KiB of an attribute.
    fn default() -> Self {
        Self {
            body_bytes: 128 * 1024,
            text_bytes: 128 * 1024,
            tags: 10_000,
            links: 500,
            attribute_bytes: crate::link::MAX_TARGET,
        }
    }
}

/// Fields of a response that say how its body is read; empty where it has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseFields<'a> {
    /// `Content-Type`
    pub content_type: &'a [u8],
    /// `Content-Encoding`
    pub content_encoding: &'a [u8],
    /// `Content-Disposition`
    pub content_disposition: &'a [u8],
}

/// Whether a reader wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderState {
    /// The head has not ended yet.
    Reading,
    /// The head has ended.
    Done,
    /// Nothing will be known of this document.
    Failed,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it came.
    Whole,
    /// It broke off, or nobody waited for the rest.
    BrokenOff,
}

/// What a head says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What is fetched: first what blocks rendering or is declared, in the order of the document, then other scripts.
    pub links: Vec<HtmlLink>,
    /// What is passed over.
    pub skipped: Vec<Skipped>,
}

/// An element that names something to fetch, and is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its URL as it stands in the document.
    pub target: Box<str>,
    /// Why.
    pub reason: HtmlSkip,
}

/// Reads the head of one HTML document from a copy of its body.
#[derive(Debug)]
pub struct HtmlReader {
    outcome: Option<Result<(), HtmlReason>>,
    stages: Option<Box<Stages>>,
    found: Found,
    limits: Limits,
}

#[derive(Debug)]
struct Stages {
    document: Document,
    body_left: usize,
    text_left: usize,
    decoder: ContentDecoder,
    content: Vec<u8>,
    text: DecodedText,
    feed: Feed,
    tokens: Tokens,
}

/// The tokenizer, or what it needs once the encoding is known.
#[derive(Debug)]
enum Tokens {
    Waiting(Option<TextSource>),
    Running(Box<Tokenizer<TextSource, HeadReader>>),
}

impl HtmlReader {
    /// A reader for a document whose response has these fields. It has failed at once if they say that the body cannot be
    /// read.
    #[must_use]
    pub fn new(limits: Limits, document: &Document, fields: ResponseFields<'_>) -> Self {
        let mut reader = Self {
            outcome: None,
            stages: None,
            found: Found::default(),
            limits,
        };
        match Stages::new(limits, document, fields) {
            Ok(stages) => reader.stages = Some(Box::new(stages)),
            Err(reason) => reader.outcome = Some(Err(reason)),
        }
        reader
    }

    /// Reads the next bytes of the body. One that has ended or failed drops them.
    pub fn feed(&mut self, mut bytes: &[u8]) -> ReaderState {
        while let (Some(stages), false) = (&mut self.stages, bytes.is_empty()) {
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            bytes = rest;
            let outcome = stages.read(piece, &mut self.found, self.limits);
            self.settle(outcome);
        }
        self.state()
    }

    /// Whether more bytes are wanted.
    #[must_use]
    pub fn state(&self) -> ReaderState {
        match &self.outcome {
            None => ReaderState::Reading,
            Some(Ok(())) => ReaderState::Done,
            Some(Err(_)) => ReaderState::Failed,
        }
    }

    /// What the head says, once the body has ended or no more of it is wanted.
    ///
    /// # Errors
    ///
    /// The head was not read to its end: see [`HtmlReason`].
    pub fn finish(mut self, end: End) -> Result<Found, HtmlReason> {
        if let Some(stages) = &mut self.stages {
            let outcome = match end {
                End::Whole => stages.end(&mut self.found, self.limits),
                End::BrokenOff => Some(Err(HtmlReason::BrokenOff)),
            };
            self.settle(outcome);
        }
        self.outcome.unwrap_or(Ok(()))?;
        // Stable: within a tier the order is that of the document.
        self.found.links.sort_by_key(|link| link.tier == Tier::Lower);
        Ok(self.found)
    }

    /// Frees everything but what was found once the outcome is known.
    fn settle(&mut self, outcome: Option<Result<(), HtmlReason>>) {
        if outcome.is_some() {
            self.outcome = outcome;
            self.stages = None;
        }
        if matches!(outcome, Some(Err(_))) {
            self.found = Found::default();
        }
    }
}

/// `None`: more bytes are wanted.
type ReadOutcome = Option<Result<(), HtmlReason>>;

impl Stages {
    fn new(limits: Limits, document: &Document, fields: ResponseFields<'_>) -> Result<Self, HtmlReason> {
        let essence = first_word(fields.content_type);
        if !essence.eq_ignore_ascii_case(b"text/html") {
            return Err(HtmlReason::NotHtml);
        }
        // Any other disposition than `inline` is treated as `attachment` (RFC 6266, section 4.2).
        let disposition = first_word(fields.content_disposition);
        if !disposition.is_empty() && !disposition.eq_ignore_ascii_case(b"inline") {
            return Err(HtmlReason::Attachment);
        }
        let (feed, source) = content::pair();
        Ok(Self {
            document: document.clone(),
            body_left: limits.body_bytes,
            text_left: limits.text_bytes,
            decoder: ContentDecoder::new(fields.content_encoding).ok_or(HtmlReason::ContentCoding)?,
            content: Vec::new(),
            text: DecodedText::new(content::in_content(fields.content_type)),
            feed,
            tokens: Tokens::Waiting(Some(source)),
        })
    }

    fn read(&mut self, bytes: &[u8], found: &mut Found, limits: Limits) -> ReadOutcome {
        let taken = bytes.len().min(self.body_left);
        self.body_left -= taken;
        let mut content = std::mem::take(&mut self.content);
        let decoded = self
            .decoder
            .decode(bytes.get(..taken).unwrap_or_default(), &mut content, self.text_left);
        self.text_left = self.text_left.saturating_sub(content.len());
        let outcome = self.tokenize(&content, Rest::Follows, found, limits);
        content.clear();
        self.content = content;
        if outcome.is_some() {
            return outcome;
        }
        match decoded {
            Decoded::Corrupt => Some(Err(HtmlReason::Corrupt)),
            Decoded::Full => Some(Err(HtmlReason::TooLong)),
            Decoded::All if taken < bytes.len() => Some(Err(HtmlReason::TooLong)),
            Decoded::All => None,
        }
    }

    fn end(&mut self, found: &mut Found, limits: Limits) -> ReadOutcome {
        if !self.decoder.is_whole() {
            return Some(Err(HtmlReason::Corrupt));
        }
        self.tokenize(&[], Rest::None, found, limits).or(Some(Ok(())))
    }

    /// Reads content in pieces: what a decoder makes of one piece of the body may be all that is read.
    fn tokenize(&mut self, content: &[u8], rest: Rest, found: &mut Found, limits: Limits) -> ReadOutcome {
        let mut pieces = content.chunks(PIECE);
        let outcome = pieces.find_map(|piece| self.step(piece, Rest::Follows, found, limits));
        match rest {
            Rest::Follows => outcome,
            Rest::None => outcome.or_else(|| self.step(&[], rest, found, limits)),
        }
    }

    fn step(&mut self, mut content: &[u8], rest: Rest, found: &mut Found, limits: Limits) -> ReadOutcome {
        let decided = self.text.decide(&mut content, rest);
        if let (Some(charset), Tokens::Waiting(source)) = (decided, &mut self.tokens) {
            let page = Page::new(self.document.clone(), charset);
            let head = HeadReader::new(page, limits.tags, limits.attribute_bytes);
            let tokenizer = source.take().map(|source| Tokenizer::new_with_emitter(source, head));
            if let Some(tokenizer) = tokenizer {
                self.tokens = Tokens::Running(Box::new(tokenizer));
            }
        }
        let feed = &mut self.feed;
        self.text.decode(content, rest, |text| feed.push(text));
        if rest == Rest::None {
            feed.end();
        }
        let Tokens::Running(tokenizer) = &mut self.tokens else {
            return None;
        };
        // Events of the step that starved come by the next call.
        let mut has_starved = false;
        loop {
            match tokenizer.next() {
                Some(Ok(event)) => {
                    has_starved = false;
                    if let Some(outcome) = found.take(event, limits.links) {
                        return Some(outcome);
                    }
                }
                Some(Err(Starved)) if !has_starved => has_starved = true,
                Some(Err(Starved)) | None => return None,
            }
        }
    }
}

impl Found {
    fn take(&mut self, event: HeadEvent, most: usize) -> ReadOutcome {
        match event {
            HeadEvent::Fetch(link) => self.add(link, most).err().map(Err),
            HeadEvent::Skip(target, reason) => {
                self.skip(target, reason, most);
                None
            }
            HeadEvent::End => Some(Ok(())),
            HeadEvent::Fail(reason) => Some(Err(reason)),
        }
    }

    fn add(&mut self, link: HtmlLink, most: usize) -> Result<(), HtmlReason> {
        // The first says how it is fetched: a preload with a low priority stays low when its script follows.
        if let Some(known) = self.links.iter_mut().find(|known| known.is_one_fetch(&link)) {
            if known.tier == Tier::Lower {
                known.tier = link.tier;
            }
            self.skip(link.target.url().into(), HtmlSkip::Duplicate, most);
            return Ok(());
        }
        if self.links.len() >= most {
            return Err(HtmlReason::TooManyLinks);
        }
        self.links.push(link);
        Ok(())
    }

    fn skip(&mut self, target: Box<str>, reason: HtmlSkip, most: usize) {
        if self.skipped.len() < most {
            self.skipped.push(Skipped { target, reason });
        }
    }
}

/// A field value without its parameters.
fn first_word(value: &[u8]) -> &[u8] {
    value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// Bytes of the body that are looked at before it is asked whether the head has ended.
const PIECE: usize = 4096;
