//! The favourites in IndexedDB, in a database of their own: a change of its form leaves the history as it is.

use idb::{Database, TransactionMode};
use wasm_bindgen::JsValue;

use super::favourite::{Favourite, MAXIMUM_FAVOURITES, sort};
use super::key;
use super::store::{HistoryError, failed, to_js};
use crate::browser::globals::indexed_db;
use crate::recipe::saved_recipe::SavedRecipe;

const DATABASE: &str = "firststep-favourites";
const VERSION: u32 = 1;

/// The recipe's text → [`Favourite`].
const PICTURES: &str = "pictures";

/// The favourites' database, open.
pub struct FavouriteStore {
    database: Database,
}

impl Drop for FavouriteStore {
    fn drop(&mut self) {
        // Other tabs may want to change or delete it.
        self.database.close();
    }
}

impl FavouriteStore {
    /// Opens the database, and makes it where it is not there yet.
    ///
    /// # Errors
    /// [`HistoryError::Unavailable`].
    pub async fn open() -> Result<Self, HistoryError> {
        match indexed_db::open(DATABASE, VERSION..=VERSION, &[PICTURES]).await {
            Ok(opened) => Ok(FavouriteStore {
                database: opened.database,
            }),
            Err(error) => Err(HistoryError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }

    /// All favourites, the one that was marked last first. What can't be read is left out.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn list(&self) -> Result<Vec<Favourite>, HistoryError> {
        let read = async {
            let transaction = self
                .database
                .transaction(&[PICTURES], TransactionMode::ReadOnly)?;
            let pictures = transaction.object_store(PICTURES)?;
            pictures.get_all(None, None)?.await
        };
        let values = read.await.map_err(failed("reading"))?;
        let mut favourites: Vec<Favourite> = values
            .into_iter()
            .filter_map(|value| serde_wasm_bindgen::from_value(value).ok())
            .filter(Favourite::is_sound)
            .collect();
        sort(&mut favourites);
        Ok(favourites)
    }

    /// Keeps a favourite, in place of an earlier one of the same cell.
    ///
    /// # Errors
    /// [`HistoryError::TooManyFavourites`], [`HistoryError::Quota`], [`HistoryError::Recipe`] or
    /// [`HistoryError::Failed`].
    pub async fn mark(&self, favourite: &Favourite) -> Result<(), HistoryError> {
        let key = key(&favourite.recipe)?;
        let count = async {
            let transaction = self
                .database
                .transaction(&[PICTURES], TransactionMode::ReadOnly)?;
            let pictures = transaction.object_store(PICTURES)?;
            pictures.get_all_keys(None, None)?.await
        };
        let keys = count.await.map_err(failed("reading"))?;
        let is_there = keys
            .iter()
            .any(|other| other.as_string().as_deref() == Some(key.as_str()));
        if !is_there && keys.len() >= MAXIMUM_FAVOURITES {
            return Err(HistoryError::TooManyFavourites);
        }
        let record = to_js(favourite)?;
        indexed_db::write(&self.database, &[PICTURES], |transaction| {
            let pictures = transaction.object_store(PICTURES)?;
            pictures
                .put(&record, Some(&JsValue::from_str(&key)))
                .map(drop)
        })
        .await
        .map_err(failed("storing"))
    }

    /// Forgets a favourite; no error where there is none.
    ///
    /// # Errors
    /// [`HistoryError::Recipe`] or [`HistoryError::Failed`].
    pub async fn unmark(&self, recipe: &SavedRecipe) -> Result<(), HistoryError> {
        let key = key(recipe)?;
        indexed_db::write(&self.database, &[PICTURES], |transaction| {
            let pictures = transaction.object_store(PICTURES)?;
            pictures.delete(JsValue::from_str(&key)).map(drop)
        })
        .await
        .map_err(failed("deleting"))
    }
}
