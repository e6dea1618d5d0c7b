//! How text becomes words: split as Unicode says (UAX 29, what Lucene's standard tokenizer does), in lowercase, without
//! accents (Lucene's ASCII folding), and by the English stem (Snowball). A server is told to do the same, so that one
//! question finds the same everywhere.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, RemoveLongFilter, Stemmer, TextAnalyzer, Token,
    TokenStream, Tokenizer,
};
use unicode_segmentation::{UWordBoundIndices, UnicodeSegmentation};

/// Longest word that is kept, in bytes.
const WORD_BYTES_MAX: usize = 255;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it is compared.
    pub form: String,
    /// Where it stands in the text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Words by their stem: what whole words are compared by.
#[must_use]
pub fn stemming() -> TextAnalyzer {
    TextAnalyzer::builder(UnicodeTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// Words as they are: what beginnings of words are compared by.
#[must_use]
pub fn exact() -> TextAnalyzer {
    TextAnalyzer::builder(UnicodeTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// A whole text in lowercase and without accents; control characters fall away.
#[must_use]
pub fn folded(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let mut analyzer = TextAnalyzer::builder(RawTokenizer::default())
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build();
    let mut stream = analyzer.token_stream(&text);
    if stream.advance() {
        stream.token().text.clone()
    } else {
        String::new()
    }
}

/// The words of a text, in their order.
#[must_use]
pub fn of(analyzer: &mut TextAnalyzer, text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while stream.advance() {
        let token = stream.token();
        words.push(Word {
            form: token.text.clone(),
            start: token.offset_from,
            end: token.offset_to,
        });
    }
    words
}

/// Splits at the word boundaries of UAX 29 and keeps what has a letter or a digit.
#[derive(Clone, Default)]
struct UnicodeTokenizer {
    token: Token,
}

struct UnicodeTokens<'a> {
    words: UWordBoundIndices<'a>,
    token: &'a mut Token,
}

impl Tokenizer for UnicodeTokenizer {
    type TokenStream<'a> = UnicodeTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> UnicodeTokens<'a> {
        self.token.reset();
        UnicodeTokens {
            words: text.split_word_bound_indices(),
            token: &mut self.token,
        }
    }
}

impl TokenStream for UnicodeTokens<'_> {
    fn advance(&mut self) -> bool {
        let Some((start, word)) = self.words.find(|(_, word)| word.contains(char::is_alphanumeric)) else {
            return false;
        };
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = start;
        self.token.offset_to = start + word.len();
        self.token.text.clear();
        self.token.text.push_str(word);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
