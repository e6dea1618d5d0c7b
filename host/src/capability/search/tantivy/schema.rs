//! What tantivy keeps of an entry: text by its stems and by its words, everything else as one term that compares as text.

use std::collections::HashMap;

use millwork_registry::manifest::IndexKind;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, TantivyDocument, TextFieldIndexing, TextOptions,
};

use crate::capability::search::entry::Entry;
use crate::capability::search::{Index, SearchError};

/// The analyzer of whole words.
pub(super) const STEMMING: &str = "stemming";
/// The analyzer of beginnings of words.
pub(super) const EXACT: &str = "exact";
/// The column of ids.
pub(super) const ID: &str = "id";

/// The fields of an index in tantivy.
pub(super) struct Fields {
    pub(super) id: Field,
    /// The document as JSON text.
    pub(super) document: Field,
    /// Names of the declared fields that hold something.
    pub(super) present: Field,
    /// By stem.
    pub(super) stems: HashMap<String, Field>,
    /// As they are.
    pub(super) words: HashMap<String, Field>,
    pub(super) values: HashMap<String, Field>,
    pub(super) suggestions: HashMap<String, Field>,
}

/// The names of fields have a prefix, so that none is another's.
pub(super) fn of(index: &Index) -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let mut fields = Fields {
        id: schema.add_text_field(ID, STRING | STORED | FAST),
        document: schema.add_text_field("document", STORED),
        present: schema.add_text_field("present", STRING),
        stems: HashMap::new(),
        words: HashMap::new(),
        values: HashMap::new(),
        suggestions: HashMap::new(),
    };
    for (name, field) in &index.fields {
        if field.kind == IndexKind::Text {
            let stems = text(STEMMING, IndexRecordOption::WithFreqsAndPositions);
            let words = text(EXACT, IndexRecordOption::Basic);
            fields.stems.insert(
                name.clone(),
                schema.add_text_field(&format!("stems_{name}"), stems),
            );
            fields.words.insert(
                name.clone(),
                schema.add_text_field(&format!("words_{name}"), words),
            );
        } else {
            fields.values.insert(
                name.clone(),
                schema.add_text_field(&format!("values_{name}"), STRING),
            );
        }
        if field.suggested {
            let suggestions = schema.add_text_field(&format!("suggestions_{name}"), STRING);
            fields.suggestions.insert(name.clone(), suggestions);
        }
    }
    (schema.build(), fields)
}

fn text(analyzer: &str, record: IndexRecordOption) -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(analyzer)
        .set_index_option(record);
    TextOptions::default().set_indexing_options(indexing)
}

impl Fields {
    /// An entry as tantivy takes it.
    pub(super) fn document_of(&self, entry: &Entry) -> Result<TantivyDocument, SearchError> {
        let mut document = TantivyDocument::default();
        document.add_text(self.id, &entry.id);
        let text =
            serde_json::to_string(&entry.document).map_err(|error| SearchError::Failed(error.to_string()))?;
        document.add_text(self.document, text);
        entry
            .present()
            .for_each(|name| document.add_text(self.present, name));
        for (name, texts) in &entry.texts {
            let both = self.stems.get(name).into_iter().chain(self.words.get(name));
            for field in both {
                texts.iter().for_each(|text| document.add_text(*field, text));
            }
        }
        for (name, values) in &entry.values {
            if let Some(field) = self.values.get(name) {
                values
                    .iter()
                    .for_each(|value| document.add_text(*field, value.key()));
            }
        }
        for (name, suggestions) in &entry.suggestions {
            if let Some(field) = self.suggestions.get(name) {
                suggestions.iter().for_each(|key| document.add_text(*field, key));
            }
        }
        Ok(document)
    }
}
