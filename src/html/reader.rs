//! Passes a body through its stages (content coding, character encoding, tokenizer, head), within bounds.
//!
//! Time is linear in the bytes read, which [`Limits`] bounds; a reader whose head has ended drops further bytes. Memory
//! is bounded by the sum of: the links, which are shorter than the text read; the text that one piece of the body
//! decodes to, at most `text_bytes`; 26 attributes of `attribute_bytes`; about 30 KiB of text before the tokenizer; and
//! the window of the content coding (see `content`). Everything but the links is freed when the head ends.

use html5gum::Tokenizer;
use http::{HeaderMap, HeaderValue, header};

use super::{
    content::{self, ContentDecoder, Decoded, DecodedText, Feed, Rest, Starved, TextSource},
    head::{HeadEvent, HeadReader, Page},
    link::{HtmlLink, Tier, preconnects},
    reason::{HtmlReason, HtmlSkip},
};
use crate::link::{Document, Need, Spelled};

/// Bounds on the reading of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body as received.
    pub body_bytes: usize,
    /// Bytes of the body after decoding its content coding.
    pub text_bytes: usize,
    /// Start tags and end tags together.
    pub tags: usize,
    /// Links, and, counted apart, skipped elements.
    pub links: usize,
    /// Bytes of one attribute's value; an element with a longer URL is skipped.
    pub attribute_bytes: usize,
}

impl Limits {
    /// The default bounds, but for this number of bytes of the body and of its text.
    #[must_use]
    pub fn of_bytes(bytes: u32) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            body_bytes: bytes,
            text_bytes: bytes,
            ..Self::default()
        }
    }
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

/// Fields of a response that decide how its body is read; empty if absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseFields<'a> {
    /// `Content-Type`
    pub content_type: &'a [u8],
    /// `Content-Encoding`
    pub content_encoding: &'a [u8],
    /// `Content-Disposition`
    pub content_disposition: &'a [u8],
}

impl<'a> ResponseFields<'a> {
    /// Takes the fields from those of a response.
    #[must_use]
    pub fn of(fields: &'a HeaderMap) -> Self {
        let field = |name| fields.get(name).map_or(&[][..], HeaderValue::as_bytes);
        Self {
            content_type: content_type(fields).unwrap_or_default(),
            content_encoding: field(header::CONTENT_ENCODING),
            content_disposition: field(header::CONTENT_DISPOSITION),
        }
    }
}

/// Returns the `Content-Type` of a response: of several lines the last, as browsers take it (Fetch, "extract a MIME
/// type").
#[must_use]
pub fn content_type(response: &HeaderMap) -> Option<&[u8]> {
    let last = response.get_all(header::CONTENT_TYPE).iter().next_back();
    last.map(HeaderValue::as_bytes)
}

/// Whether a reader needs more of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderState {
    /// The head has not ended yet.
    Reading,
    /// The head has ended.
    Done,
    /// The head cannot be read.
    Failed,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The body is complete.
    Whole,
    /// The body ended too early, or may have: it is read if its head has ended.
    BrokenOff,
}

/// The fetches of a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The fetches: first [`Tier::Blocking`] and [`Tier::Declared`] in document order, then [`Tier::Lower`].
    pub links: Vec<HtmlLink>,
    /// The skipped elements, in document order.
    pub skipped: Vec<Skipped>,
    /// The Content-Security-Policies of `meta` elements, in document order. Instead of more than 16 KiB of them, or of
    /// one that is longer than an attribute is read, there is one that allows nothing.
    pub policies: Vec<Box<str>>,
}

/// An element that causes a fetch, and is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The URL as the document has it.
    pub target: Box<str>,
    /// Why the element is skipped.
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
    /// The last two bytes of the text so far.
    tail: [u8; 2],
    feed: Feed,
    tokens: Tokens,
}

/// The tokenizer, or, until the encoding is known, its source.
#[derive(Debug)]
enum Tokens {
    Waiting(Option<TextSource>),
    Running(Box<Tokenizer<TextSource, HeadReader>>),
}

impl Found {
    /// Returns the links that are learned of a document, at most `MAX_LEARNED`: connections that several fetches make
    /// worth opening, then the fetches. Targets of the document's own origin are named by their paths, as applications
    /// name them in `Link` fields, so that one asset is one link wherever it is named. Of too many, stylesheets are learned
    /// first, then what else blocks rendering, then the rest by [`Need`].
    #[must_use]
    pub fn learnable(&self, document: &Document) -> Vec<Spelled> {
        let own = [document.own().scheme(), "://", document.own().authority(), "/"].concat();
        let connections = preconnects(&self.links, document, MANY);
        let spelled = |link: &HtmlLink| {
            let value = link.field_value();
            match value.strip_prefix('<').and_then(|value| value.strip_prefix(&*own)) {
                Some(path) => Spelled::read(["</", path].concat().as_bytes()),
                None => Spelled::read(value.as_bytes()),
            }
        };
        let links = connections.iter().chain(&self.links);
        let mut links: Vec<(Tier, Spelled)> = links.filter_map(|link| Some((link.tier, spelled(link)?))).collect();
        if links.len() > MAX_LEARNED {
            // The sort is stable.
            links.sort_by_key(|(tier, link)| {
                let need = link.need();
                (need != Need::Rendering, *tier != Tier::Blocking, need)
            });
        }
        links.into_iter().map(|(_, link)| link).take(MAX_LEARNED).collect()
    }
}

/// Links of one page that are learned: more than a 103 carries.
const MAX_LEARNED: usize = 32;

/// Fetches from one other origin that make a connection to that origin worth a hint.
const MANY: usize = 4;

impl HtmlReader {
    /// Makes a reader for a document whose response has these fields. The reader starts as [`ReaderState::Failed`] if
    /// the fields show that the body cannot be read.
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

    /// Reads the next bytes of the body. A reader that is done or has failed drops them.
    pub fn feed(&mut self, mut bytes: &[u8]) -> ReaderState {
        while let (Some(stages), false) = (&mut self.stages, bytes.is_empty()) {
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            bytes = rest;
            let outcome = stages.read(piece, &mut self.found, self.limits);
            self.settle(outcome);
        }
        self.state()
    }

    /// Returns whether more bytes are needed.
    #[must_use]
    pub fn state(&self) -> ReaderState {
        match &self.outcome {
            None => ReaderState::Reading,
            Some(Ok(())) => ReaderState::Done,
            Some(Err(_)) => ReaderState::Failed,
        }
    }

    /// Returns the fetches of the head, when the body has ended or the caller stops reading.
    ///
    /// # Errors
    ///
    /// The head was not read to its end: see [`HtmlReason`].
    pub fn finish(mut self, end: End) -> Result<Found, HtmlReason> {
        if let Some(stages) = &mut self.stages {
            let outcome = match end {
                End::Whole => stages.end(&mut self.found, self.limits),
                End::BrokenOff => stages.break_off(&mut self.found, self.limits),
            };
            self.settle(outcome);
        }
        self.outcome.unwrap_or(Ok(()))?;
        // The sort is stable, so both parts stay in document order.
        self.found.links.sort_by_key(|link| link.tier == Tier::Lower);
        Ok(self.found)
    }

    /// Records an outcome, if there is one, and frees the stages; frees the links, too, after a failure.
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

/// The outcome of reading; `None` while more bytes are needed.
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
            tail: [0; 2],
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

    /// Reads the text that the tokenizer held back; the head is read if its end is in the text.
    fn break_off(&mut self, found: &mut Found, limits: Limits) -> ReadOutcome {
        let outcome = self.tokenize(&[], Rest::None, found, limits);
        // The beginning of a tag would count as text, which ends a head.
        let is_in_tag = matches!(self.tail, [_, b'<'] | [b'<', b'/']);
        outcome.filter(|_| !is_in_tag).or(Some(Err(HtmlReason::BrokenOff)))
    }

    /// Reads decoded content in pieces of [`PIECE`] bytes, since one piece of the body may decode to `text_bytes`.
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
        let (feed, tail) = (&mut self.feed, &mut self.tail);
        self.text.decode(content, rest, |text| {
            for byte in text.get(text.len().saturating_sub(2)..).unwrap_or_default() {
                *tail = [tail[1], *byte];
            }
            feed.push(text);
        });
        if rest == Rest::None {
            feed.end();
        }
        let Tokens::Running(tokenizer) = &mut self.tokens else {
            return None;
        };
        // A step that starves may leave events, which the next call returns: only two `Starved` in a row end the loop.
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
            HeadEvent::Policy(policy) => {
                self.add_policy(policy);
                None
            }
            HeadEvent::End => Some(Ok(())),
            HeadEvent::Fail(reason) => Some(Err(reason)),
        }
    }

    fn add(&mut self, link: HtmlLink, most: usize) -> Result<(), HtmlReason> {
        // The first element decides how the asset is fetched: a preload with low priority keeps it when its script
        // follows.
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

    fn add_policy(&mut self, policy: Option<Box<str>>) {
        let length: usize = self.policies.iter().map(|policy| policy.len()).sum();
        let policy = policy.filter(|policy| length.saturating_add(policy.len()) <= MAX_POLICIES);
        match policy {
            // In an element, a comma does not separate policies (CSP Level 3, section 3.3), but spoils the word that has
            // it, as a quotation mark does.
            Some(policy) => self.policies.push(policy.replace(',', "\"").into()),
            None => self.policies = vec![NOTHING_ALLOWED.into()],
        }
    }

    fn skip(&mut self, target: Box<str>, reason: HtmlSkip, most: usize) {
        if self.skipped.len() < most {
            self.skipped.push(Skipped { target, reason });
        }
    }
}

/// Returns a field value without its parameters.
fn first_word(value: &[u8]) -> &[u8] {
    value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// Bytes of a page's policies that are kept.
const MAX_POLICIES: usize = 16 * 1024;

const NOTHING_ALLOWED: &str = "default-src 'none'";

/// Bytes of the body that are read before the reader checks whether the head has ended.
const PIECE: usize = 4096;
