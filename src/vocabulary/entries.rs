//! The lists of a vocabulary, as `vocabulary.json` and a manifest have them.

use serde::{Deserialize, Serialize};

/// The most names of a vocabulary, all lists together. The page's thread reads them in one go, and
/// walks through them at every key.
pub const MAXIMUM_NAMES: usize = 5000;

/// The most things of a group, which the page lists in one go: a button each.
pub const MAXIMUM_GROUP_SIZE: usize = 500;

/// The longest name, in characters: one line of a list.
pub const MAXIMUM_NAME_CHARACTERS: usize = 80;

/// Why a vocabulary can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// More names than the page can handle while somebody types.
    #[error(
        "The manifest of the model pair has a vocabulary of {found} names; the page takes up to \
         {MAXIMUM_NAMES}."
    )]
    TooManyNames {
        /// Names in all lists, those of the groups included.
        found: usize,
    },
    /// More things in a group than the page can list at once.
    #[error(
        "The manifest of the model pair has {found} entries in its vocabulary's group “{group}”; the \
         page takes up to {MAXIMUM_GROUP_SIZE}. Divide the group."
    )]
    LargeGroup {
        /// The group's name.
        group: String,
        /// Things of the group.
        found: usize,
    },
    /// A name that doesn't fit a line, or shows nothing.
    #[error(
        "The manifest of the model pair has {name:?} in its vocabulary; each name has to be a line \
         of 1 to {MAXIMUM_NAME_CHARACTERS} characters, with a letter or digit and without spaces \
         around it."
    )]
    Name {
        /// The beginning of the name.
        name: String,
    },
    /// A thing without any name.
    #[error(
        "The manifest of the model pair has an entry without a name in its vocabulary, in the group \
         “{group}”."
    )]
    Nameless {
        /// The entry's group.
        group: String,
    },
}

/// What a pair was trained to draw, in the words that it was trained with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// The things, in groups of a kind.
    pub groups: Vec<Group>,
    /// Words for `in … style`.
    #[serde(default)]
    pub styles: Vec<String>,
    /// Words for `on a … background`.
    #[serde(default)]
    pub backgrounds: Vec<String>,
    /// What stands around the things: articles, `image of`, `and`.
    #[serde(default)]
    pub fillers: Vec<String>,
}

/// Things of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The kind, such as `animals`.
    pub name: String,
    /// The things, in the order in which the page lists them.
    pub words: Vec<Thing>,
}

/// Something that the pair draws, by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thing(Vec<String>);

impl Thing {
    /// The name by which the page lists it.
    pub fn name(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Its further names.
    pub fn synonyms(&self) -> &[String] {
        self.0.get(1..).unwrap_or_default()
    }

    /// Its names, the listed one first.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl Vocabulary {
    /// Whether the page can use it.
    ///
    /// # Errors
    /// Everything that [`VocabularyError`] lists.
    pub fn check(&self) -> Result<(), VocabularyError> {
        let found = self.every_name().count();
        if found > MAXIMUM_NAMES {
            return Err(VocabularyError::TooManyNames { found });
        }
        if let Some(name) = self.every_name().find(|name| !is_line(name)) {
            return Err(VocabularyError::Name {
                name: name.chars().take(MAXIMUM_NAME_CHARACTERS).collect(),
            });
        }
        let is_large = |group: &&Group| group.words.len() > MAXIMUM_GROUP_SIZE;
        if let Some(group) = self.groups.iter().find(is_large) {
            return Err(VocabularyError::LargeGroup {
                group: group.name.clone(),
                found: group.words.len(),
            });
        }
        let is_nameless = |group: &&Group| group.words.iter().any(|thing| thing.0.is_empty());
        match self.groups.iter().find(is_nameless) {
            Some(group) => Err(VocabularyError::Nameless {
                group: group.name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The things of all groups, in order.
    pub fn things(&self) -> impl Iterator<Item = &Thing> {
        self.groups.iter().flat_map(|group| &group.words)
    }

    fn every_name(&self) -> impl Iterator<Item = &String> {
        let lists = [&self.styles, &self.backgrounds, &self.fillers];
        self.groups
            .iter()
            .map(|group| &group.name)
            .chain(self.things().flat_map(|thing| &thing.0))
            .chain(lists.into_iter().flatten())
    }
}

/// Whether a name is a line that shows something.
fn is_line(name: &str) -> bool {
    name.chars().count() <= MAXIMUM_NAME_CHARACTERS
        && name.trim() == name
        && !name.chars().any(char::is_control)
        && name.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A vocabulary with one of everything that the functions of this folder tell apart.
    pub fn vocabulary() -> Vocabulary {
        serde_json::from_str(
            r#"{
                "groups": [
                    {"name": "animals", "words": [
                        ["dog", "puppy", "hound"],
                        ["dog face", "dog", "puppy"],
                        ["cat", "kitten", "kitty"],
                        ["cat face", "cat", "kitten"],
                        ["whale"], ["T-Rex", "dinosaur"], ["elephant"]
                    ]},
                    {"name": "things", "words": [
                        ["fire"], ["fire engine", "fire truck"], ["kite"], ["jar"], ["hot dog"],
                        ["glasses", "spectacles"], ["cherries", "cherry"], ["bus"],
                        ["smiling face with heart-eyes", "face in love"],
                        ["face with tears of joy"]
                    ]}
                ],
                "styles": ["noto", "3d", "fluent flat"],
                "backgrounds": ["white", "orange"],
                "fillers": ["a", "an", "image", "of", "and", "in", "style", "on", "background"]
            }"#,
        )
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.check(), Ok(()));
        let thing = vocabulary.things().next().unwrap();
        assert_eq!(thing.name(), "dog");
        assert_eq!(thing.synonyms(), ["puppy", "hound"]);
        let json = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(
            serde_json::from_str::<Vocabulary>(&json).unwrap(),
            vocabulary
        );
        // Only the groups have to be there.
        let least: Vocabulary = serde_json::from_str(r#"{"groups": []}"#).unwrap();
        assert_eq!(least, Vocabulary::default());
    }

    #[test]
    fn names_that_fit_no_line_are_refused() {
        let longest = "ä".repeat(MAXIMUM_NAME_CHARACTERS);
        let with_style = |style: &str| Vocabulary {
            styles: vec![style.into()],
            ..vocabulary()
        };
        assert_eq!(with_style(&longest).check(), Ok(()));
        let too_long = longest + "ä";
        for name in ["", " ", "red ", " red", "a\nb", "…", &too_long] {
            let error = with_style(name).check().expect_err(name);
            assert!(matches!(error, VocabularyError::Name { .. }), "{error}");
            assert!(error.to_string().ends_with('.'), "{error}");
        }
        // A name of any list counts.
        let mut bad = vocabulary();
        bad.groups[1].words[0].0.push("\t".into());
        assert!(bad.check().is_err());
        let mut bad = vocabulary();
        bad.groups[1].name.clear();
        assert!(bad.check().is_err());
    }

    #[test]
    fn things_without_a_name_are_refused_by_their_group() {
        let mut bad = vocabulary();
        bad.groups[1].words.push(Thing(Vec::new()));
        let group = "things".to_owned();
        assert_eq!(bad.check(), Err(VocabularyError::Nameless { group }));
    }

    #[test]
    fn groups_that_the_page_can_not_list_are_refused() {
        let of = |count: usize| Vocabulary {
            groups: vec![Group {
                name: "numbers".into(),
                words: vec![Thing(vec!["one".into()]); count],
            }],
            ..Vocabulary::default()
        };
        assert_eq!(of(MAXIMUM_GROUP_SIZE).check(), Ok(()));
        let found = MAXIMUM_GROUP_SIZE + 1;
        let group = "numbers".to_owned();
        assert_eq!(
            of(found).check(),
            Err(VocabularyError::LargeGroup { group, found })
        );
    }

    #[test]
    fn more_names_than_the_page_can_handle_are_refused() {
        let of = |count: usize| Vocabulary {
            fillers: (0..count).map(|number| number.to_string()).collect(),
            ..Vocabulary::default()
        };
        assert_eq!(of(MAXIMUM_NAMES).check(), Ok(()));
        let found = MAXIMUM_NAMES + 1;
        assert_eq!(
            of(found).check(),
            Err(VocabularyError::TooManyNames { found })
        );
    }
}
