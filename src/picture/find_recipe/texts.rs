//! The texts of a picture, by the names that they have in it.

/// The most bytes that all texts of a file may have together. Workflows of other programs are some
/// megabytes.
pub const MAXIMUM_TEXT_CHUNK_BYTES: u64 = 16 << 20;

/// The name of EXIF's user comment.
pub const USER_COMMENT: &str = "UserComment";
/// The name of EXIF's description.
pub const DESCRIPTION: &str = "ImageDescription";
/// The name of EXIF's and PNG's text about the program.
pub const SOFTWARE: &str = "Software";
/// The name of a JPEG's comment and of a PNG's.
pub const COMMENT: &str = "Comment";

/// The texts of a picture that may have settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(Vec<(String, String)>);

impl Texts {
    /// Adds a text; of two with the same name the first one counts.
    pub fn add(&mut self, name: &str, text: String) {
        if self.get(name).is_none() {
            self.0.push((name.to_owned(), text));
        }
    }

    /// Adds all of others'.
    pub fn extend(&mut self, others: Texts) {
        for (name, text) in others.0 {
            self.add(&name, text);
        }
    }

    /// The text of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut texts = self.0.iter();
        texts
            .find(|(own, _)| own == name)
            .map(|(_, text)| text.as_str())
    }

    /// The names of all texts that aren't blank.
    pub fn names(&self) -> Vec<&str> {
        let texts = self.0.iter().filter(|(_, text)| !text.trim().is_empty());
        texts.map(|(name, _)| name.as_str()).collect()
    }
}

/// The text of bytes: as UTF-8 where they are that, and else each byte as its character of Latin-1.
pub fn decoded(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}
