//! The history in IndexedDB. It has a database of its own, so that a change of its form leaves that of
//! the weights as it is.
//!
//! The key of a run is the text of its recipe. Pictures have an object store of their own, so that a
//! run can be stored without reading the pictures of all others.
//!
//! The futures here must not be dropped before they are done: IndexedDB would call closures that are
//! no longer there.

use std::collections::HashMap;

use idb::{Database, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use super::favourite::MAXIMUM_FAVOURITES;
use super::{Entry, Listing, MAXIMUM_THUMBNAILS, is_thumbnail, key, surplus};
use crate::browser::globals::indexed_db;
use crate::picture::image::Image;
use crate::recipe::saved_recipe::{SavedRecipe, SavedRecipeError};

const DATABASE: &str = "firststep-history";
const VERSION: u32 = 1;

/// The recipe's text → [`RunRecord`].
const RUNS: &str = "runs";
/// The recipe's text → a list of [`Image`].
const THUMBNAILS: &str = "thumbnails";

/// Why the history can't be kept or read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistoryError {
    /// No IndexedDB, or the browser denies it.
    #[error(
        "This browser doesn't let the page keep a history of runs ({reason}), as private windows \
         do. Save the pictures or the link of what you want to keep."
    )]
    Unavailable {
        /// The browser's own words.
        reason: String,
    },
    /// The disk or the page's share of it is full.
    #[error(
        "There is not enough room to keep this run in the history. Delete some runs from it, free \
         some space on the disk, or allow this page more."
    )]
    Quota,
    /// No further favourite is taken.
    #[error(
        "{MAXIMUM_FAVOURITES} favourites are kept at most: open History and take one off before you mark \
         another."
    )]
    TooManyFavourites,
    /// A recipe that has no text.
    #[error(transparent)]
    Recipe(#[from] SavedRecipeError),
    /// Anything else.
    #[error("The history of runs failed while {action}: {reason}. Reload the page and try again.")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// The browser's own words.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct RunRecord {
    drawn_at: f64,
    images: u32,
}

/// The history's database, open.
pub struct Store {
    database: Database,
}

impl Drop for Store {
    fn drop(&mut self) {
        // Other tabs may want to change or delete it.
        self.database.close();
    }
}

impl Store {
    /// Opens the database, and makes it where it is not there yet.
    ///
    /// # Errors
    /// [`HistoryError::Unavailable`].
    pub async fn open() -> Result<Self, HistoryError> {
        match indexed_db::open(DATABASE, VERSION..=VERSION, &[RUNS, THUMBNAILS]).await {
            Ok(opened) => Ok(Store {
                database: opened.database,
            }),
            Err(error) => Err(HistoryError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }

    /// Every run. Records that can't be read, as those of another version, are deleted.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn list(&self) -> Result<Listing, HistoryError> {
        let read = async {
            let transaction = self
                .database
                .transaction(&[RUNS, THUMBNAILS], TransactionMode::ReadOnly)?;
            let [runs, thumbnails] = [RUNS, THUMBNAILS].map(|name| transaction.object_store(name));
            let (runs, thumbnails) = (runs?, thumbnails?);
            // All are asked for before any is awaited: a transaction ends when nothing is.
            let run_keys = runs.get_all_keys(None, None)?;
            let run_values = runs.get_all(None, None)?;
            let thumbnail_keys = thumbnails.get_all_keys(None, None)?;
            let thumbnail_values = thumbnails.get_all(None, None)?;
            let runs = (run_keys.await?, run_values.await?);
            Ok((runs, (thumbnail_keys.await?, thumbnail_values.await?)))
        };
        let (runs, thumbnails) = read.await.map_err(failed("reading"))?;
        // The keys and the values of a store are in one order.
        let mut thumbnails: HashMap<String, JsValue> = thumbnails
            .0
            .into_iter()
            .zip(thumbnails.1)
            .filter_map(|(key, value)| Some((key.as_string()?, value)))
            .collect();
        let mut unreadable = Vec::new();
        let mut entries = Vec::new();
        for (key, record) in runs.0.into_iter().zip(runs.1) {
            let text = key.as_string();
            let pictures = text.as_ref().and_then(|text| thumbnails.remove(text));
            match text.and_then(|text| entry(&text, record, pictures?)) {
                Some(entry) => entries.push(entry),
                None => unreadable.push(key),
            }
        }
        // Pictures without a run.
        unreadable.extend(thumbnails.into_keys().map(JsValue::from));
        if !unreadable.is_empty() {
            // What can't be deleted now is met again at the next reading.
            let _ = self.remove(unreadable).await;
        }
        Ok(Listing::new(entries))
    }

    /// Stores a run in place of an earlier one of the same recipe, and deletes the oldest runs beyond
    /// the maximum. A run with fewer images than the earlier one, cancelled perhaps, leaves its
    /// pictures in place.
    ///
    /// # Errors
    /// [`HistoryError::Quota`], [`HistoryError::Recipe`] or [`HistoryError::Failed`].
    pub async fn remember(&self, entry: &Entry) -> Result<(), HistoryError> {
        let key = key(&entry.recipe)?;
        let read = async {
            let transaction = self
                .database
                .transaction(&[RUNS], TransactionMode::ReadOnly)?;
            let runs = transaction.object_store(RUNS)?;
            let keys = runs.get_all_keys(None, None)?;
            let values = runs.get_all(None, None)?;
            Ok((keys.await?, values.await?))
        };
        let (keys, values) = read.await.map_err(failed("reading"))?;
        let mut runs: Vec<(String, f64)> = Vec::new();
        let mut images_before = 0;
        for (other, record) in keys.iter().zip(values) {
            let record = serde_wasm_bindgen::from_value::<RunRecord>(record).ok();
            let Some(other) = other.as_string() else {
                continue;
            };
            if other == key {
                images_before = record.map_or(0, |record| record.images);
            } else {
                // A date that can't be read is older than any.
                runs.push((other, record.map_or(f64::MIN, |record| record.drawn_at)));
            }
        }
        runs.push((key.clone(), entry.drawn_at));
        let surplus = surplus(runs);

        let record = RunRecord {
            drawn_at: entry.drawn_at,
            images: entry.images.max(images_before),
        };
        let record = to_js(&record)?;
        let thumbnails = if entry.images >= images_before {
            Some(to_js(&entry.thumbnails)?)
        } else {
            None
        };
        self.write("storing", |runs, pictures| {
            let key = JsValue::from_str(&key);
            runs.put(&record, Some(&key))?;
            if let Some(thumbnails) = thumbnails {
                pictures.put(&thumbnails, Some(&key))?;
            }
            for key in surplus {
                let key = JsValue::from_str(&key);
                runs.delete(key.clone())?;
                pictures.delete(key)?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets a run; no error where there is none.
    ///
    /// # Errors
    /// [`HistoryError::Recipe`] or [`HistoryError::Failed`].
    pub async fn delete(&self, recipe: &SavedRecipe) -> Result<(), HistoryError> {
        let key = key(recipe)?;
        self.remove(vec![JsValue::from_str(&key)]).await
    }

    /// Forgets every run.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn clear(&self) -> Result<(), HistoryError> {
        self.write("deleting", |runs, pictures| {
            runs.clear()?;
            pictures.clear()?;
            Ok(())
        })
        .await
    }

    async fn remove(&self, keys: Vec<JsValue>) -> Result<(), HistoryError> {
        self.write("deleting", |runs, pictures| {
            for key in keys {
                runs.delete(key.clone())?;
                pictures.delete(key)?;
            }
            Ok(())
        })
        .await
    }

    async fn write(
        &self,
        action: &'static str,
        requests: impl FnOnce(&idb::ObjectStore, &idb::ObjectStore) -> Result<(), idb::Error>,
    ) -> Result<(), HistoryError> {
        indexed_db::write(&self.database, &[RUNS, THUMBNAILS], |transaction| {
            requests(
                &transaction.object_store(RUNS)?,
                &transaction.object_store(THUMBNAILS)?,
            )
        })
        .await
        .map_err(failed(action))
    }
}

/// A run as it was stored; none where it can't be read.
fn entry(text: &str, record: JsValue, thumbnails: JsValue) -> Option<Entry> {
    let recipe = SavedRecipe::from_json(text).ok()?;
    let RunRecord { drawn_at, images } = serde_wasm_bindgen::from_value(record).ok()?;
    let thumbnails: Vec<Image> = serde_wasm_bindgen::from_value(thumbnails).ok()?;
    let is_sound = drawn_at.is_finite()
        && thumbnails.len() <= MAXIMUM_THUMBNAILS
        && thumbnails.iter().all(is_thumbnail)
        // By another text it could be neither deleted nor drawn anew.
        && key(&recipe).is_ok_and(|key| key == text);
    is_sound.then_some(Entry {
        recipe,
        drawn_at,
        images,
        thumbnails,
    })
}

/// The error that a failure of IndexedDB during an action becomes.
pub(super) fn failed(action: &'static str) -> impl FnOnce(idb::Error) -> HistoryError {
    move |error| {
        let reason = error.to_string();
        if reason.contains("QuotaExceededError") {
            HistoryError::Quota
        } else {
            HistoryError::Failed { action, reason }
        }
    }
}

pub(super) fn to_js(value: &impl Serialize) -> Result<JsValue, HistoryError> {
    serde_wasm_bindgen::to_value(value).map_err(|error| HistoryError::Failed {
        action: "storing",
        reason: error.to_string(),
    })
}
