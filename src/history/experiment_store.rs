//! The experiments in IndexedDB, in a database of their own: a change of its form leaves the history as it is.
//!
//! Every key begins with the experiment's number. What is found is written as it comes, so that a crash loses
//! no more than the picture that was being drawn.

use idb::{Database, KeyRange, Query, TransactionMode};
use js_sys::Uint8Array;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};

use super::experiments::{ExperimentId, Kept};
use super::store::{HistoryError, failed, to_js};
use crate::browser::globals::indexed_db;
use crate::metrics::reduced_to_measure;
use crate::picture::image::Image;
use crate::picture::png_file::{self, Texts};
use crate::recipe::experiment::PictureId;
use crate::results::manifest::RunManifest;
use crate::results::{
    ChangeRecord, NetworkFindings, PictureRecord, Results, RowRecord, ScoreRecord, TargetsRecord,
};

const DATABASE: &str = "firststep-experiments";
/// Raised when there are further object stores; those of all earlier versions are read as ever.
const VERSION: u32 = 3;
const EARLIEST_VERSION: u32 = 1;

/// The experiment's number → the text of its [`RunManifest`].
const MANIFESTS: &str = "manifests";
/// The picture → its [`PictureRecord`].
const PICTURES: &str = "pictures";
/// The picture → a small [`Image`] of it.
const SMALL: &str = "small";
/// The picture → its PNG, of one that is larger than the small one: networks look at all of it.
const WHOLE: &str = "whole";
/// The picture → its last latent, as a file of NumPy's.
const LATENTS: &str = "latents";
/// The row and the measure → its [`RowRecord`].
const ROWS: &str = "rows";
/// The row and the measure → its [`ChangeRecord`].
const CHANGES: &str = "changes";
/// The row, the measure and the score → its [`ScoreRecord`].
const SCORES: &str = "scores";

/// The picture → a PNG of its steps' Diffusion Targets and the final image, in a study of them.
const TARGETS: &str = "targets";
/// The picture and the measure → its [`TargetsRecord`].
const TARGET_DISTANCES: &str = "target-distances";

const ALL: [&str; 10] = [
    MANIFESTS,
    PICTURES,
    SMALL,
    WHOLE,
    LATENTS,
    ROWS,
    CHANGES,
    SCORES,
    TARGETS,
    TARGET_DISTANCES,
];

/// The experiments' database, open.
pub struct ExperimentStore {
    database: Database,
}

impl Drop for ExperimentStore {
    fn drop(&mut self) {
        // Other tabs may want to change or delete it.
        self.database.close();
    }
}

impl ExperimentStore {
    /// Opens the database, and makes it where it is not there yet.
    ///
    /// # Errors
    /// [`HistoryError::Unavailable`].
    pub async fn open() -> Result<Self, HistoryError> {
        match indexed_db::open(DATABASE, EARLIEST_VERSION..=VERSION, &ALL).await {
            Ok(opened) => Ok(ExperimentStore {
                database: opened.database,
            }),
            Err(error) => Err(HistoryError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }

    /// All experiments, the last one first. One that can't be read is left out.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn list(&self) -> Result<Vec<Kept>, HistoryError> {
        let mut kept = Vec::new();
        for (key, text) in self.all(MANIFESTS).await? {
            let Some(id) = key.as_string().and_then(|it| it.parse().ok()) else {
                continue;
            };
            let manifest = text.as_string().map(|it| RunManifest::from_json(&it));
            let Some(Ok(manifest)) = manifest else {
                continue;
            };
            let Some(experiment) = manifest.experiment().ok().and_then(|it| it.to_json().ok())
            else {
                continue;
            };
            kept.push(Kept {
                id,
                experiment,
                pair_name: manifest.pair_name,
                pictures: self.count(PICTURES, id).await?,
            });
        }
        kept.reverse();
        Ok(kept)
    }

    /// Whether an experiment is kept.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn has(&self, id: ExperimentId) -> Result<bool, HistoryError> {
        Ok(self.count(MANIFESTS, id).await? > 0)
    }

    /// Whether any picture of an experiment is kept.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn has_images(&self, id: ExperimentId) -> Result<bool, HistoryError> {
        Ok(self.count(SMALL, id).await? > 0)
    }

    /// Keeps what an experiment runs with.
    ///
    /// # Errors
    /// [`HistoryError::Quota`] or [`HistoryError::Failed`].
    pub async fn begin(&self, id: ExperimentId, manifest: &str) -> Result<(), HistoryError> {
        self.put(MANIFESTS, &start(id), JsValue::from_str(manifest))
            .await
    }

    /// Keeps a picture's record, its latent, the PNG of its targets unless that is empty, and the picture: as
    /// it is measured, and all of it where it is larger.
    ///
    /// # Errors
    /// [`HistoryError::Quota`] or [`HistoryError::Failed`].
    pub async fn keep_picture(
        &self,
        id: ExperimentId,
        record: &PictureRecord,
        picture: &Image,
        latent: &[u8],
        targets: &[u8],
    ) -> Result<(), HistoryError> {
        let key = JsValue::from_str(&picture_key(id, record.id));
        let small = reduced_to_measure(picture);
        let whole = if small.width < picture.width {
            png_of(picture)
        } else {
            None
        };
        let (record, small) = (to_js(record)?, to_js(&small)?);
        let latent = JsValue::from(Uint8Array::from(latent));
        let targets = (!targets.is_empty()).then(|| JsValue::from(Uint8Array::from(targets)));
        let stores = [PICTURES, SMALL, WHOLE, LATENTS, TARGETS];
        indexed_db::write(&self.database, &stores, |transaction| {
            let pictures = transaction.object_store(PICTURES)?;
            pictures.put(&record, Some(&key)).map(drop)?;
            let pictures = transaction.object_store(SMALL)?;
            pictures.put(&small, Some(&key)).map(drop)?;
            let latents = transaction.object_store(LATENTS)?;
            latents.put(&latent, Some(&key)).map(drop)?;
            if let Some(whole) = &whole {
                let pictures = transaction.object_store(WHOLE)?;
                pictures.put(whole, Some(&key)).map(drop)?;
            }
            if let Some(targets) = &targets {
                let pictures = transaction.object_store(TARGETS)?;
                pictures.put(targets, Some(&key)).map(drop)?;
            }
            Ok(())
        })
        .await
        .map_err(failed("storing"))
    }

    /// Keeps a row's distances.
    ///
    /// # Errors
    /// [`HistoryError::Quota`] or [`HistoryError::Failed`].
    pub async fn keep_row(&self, id: ExperimentId, row: &RowRecord) -> Result<(), HistoryError> {
        let key = format!("{}/{}", row_key(id, row.prompt, row.condition), row.measure);
        self.put(ROWS, &key, to_js(row)?).await
    }

    /// Keeps what a network has found, in place of what it has found before, and the manifest that names its
    /// measure.
    ///
    /// # Errors
    /// [`HistoryError::Quota`] or [`HistoryError::Failed`].
    pub async fn keep_findings(
        &self,
        id: ExperimentId,
        found: &NetworkFindings,
        manifest: &str,
    ) -> Result<(), HistoryError> {
        let mut values = vec![(MANIFESTS, start(id), JsValue::from_str(manifest))];
        values.extend(measured(
            id,
            &found.rows,
            &found.changes,
            &found.scores,
            &found.targets,
        )?);
        self.put_all(values).await
    }

    /// Keeps how far a row is from another one.
    ///
    /// # Errors
    /// [`HistoryError::Quota`] or [`HistoryError::Failed`].
    pub async fn keep_change(
        &self,
        id: ExperimentId,
        change: &ChangeRecord,
    ) -> Result<(), HistoryError> {
        let row = row_key(id, change.prompt, change.condition);
        self.put(
            CHANGES,
            &format!("{row}/{}", change.measure),
            to_js(change)?,
        )
        .await
    }

    /// The small pictures of a row, by their images' numbers.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn row(
        &self,
        id: ExperimentId,
        prompt: u32,
        condition: u32,
    ) -> Result<Vec<(u32, Image)>, HistoryError> {
        let found = self.within(SMALL, &row_key(id, prompt, condition)).await?;
        let image = |(key, value): (JsValue, JsValue)| {
            Some((image_of(&key)?, serde_wasm_bindgen::from_value(value).ok()?))
        };
        Ok(found.into_iter().filter_map(image).collect())
    }

    /// The pictures of a row in their own size, by their images' numbers. Of experiments of an earlier
    /// version of the page the small ones are all that there is.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn whole_row(
        &self,
        id: ExperimentId,
        prompt: u32,
        condition: u32,
    ) -> Result<Vec<(u32, Image)>, HistoryError> {
        let mut row = self.row(id, prompt, condition).await?;
        let found = self.within(WHOLE, &row_key(id, prompt, condition)).await?;
        for (key, value) in found {
            let own = image_of(&key).and_then(|image| row.iter_mut().find(|(it, _)| *it == image));
            let bytes = value.dyn_into::<Uint8Array>().ok();
            if let (Some((_, picture)), Some(bytes)) = (own, bytes)
                && let Ok(whole) = png_file::decode(&bytes.to_vec())
            {
                *picture = whole;
            }
        }
        Ok(row)
    }

    /// The latents of a row as files of NumPy's, by their images' numbers.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn latents(
        &self,
        id: ExperimentId,
        prompt: u32,
        condition: u32,
    ) -> Result<Vec<(u32, Vec<u8>)>, HistoryError> {
        self.files(LATENTS, &row_key(id, prompt, condition)).await
    }

    /// The targets of a row's pictures, each as a PNG that [`unstacked`](crate::picture::stack::unstacked)
    /// takes apart, by their images' numbers. Other studies have none, and neither have experiments of an
    /// earlier version of the page.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn targets(
        &self,
        id: ExperimentId,
        prompt: u32,
        condition: u32,
    ) -> Result<Vec<(u32, Vec<u8>)>, HistoryError> {
        self.files(TARGETS, &row_key(id, prompt, condition)).await
    }

    async fn files(
        &self,
        store: &'static str,
        start: &str,
    ) -> Result<Vec<(u32, Vec<u8>)>, HistoryError> {
        let found = self.within(store, start).await?;
        let file = |(key, value): (JsValue, JsValue)| {
            let bytes = value.dyn_into::<Uint8Array>().ok()?;
            Some((image_of(&key)?, bytes.to_vec()))
        };
        Ok(found.into_iter().filter_map(file).collect())
    }

    /// All that an experiment has found; none where it isn't kept.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn results(&self, id: ExperimentId) -> Result<Option<Results>, HistoryError> {
        let start = start(id);
        let manifests = self.within(MANIFESTS, &start).await?;
        let text = manifests.into_iter().find_map(|(_, text)| text.as_string());
        let Some(Ok(manifest)) = text.map(|it| RunManifest::from_json(&it)) else {
            return Ok(None);
        };
        Ok(Some(Results {
            manifest,
            pictures: self.read(PICTURES, &start).await?,
            rows: self.read(ROWS, &start).await?,
            changes: self.read(CHANGES, &start).await?,
            scores: self.read(SCORES, &start).await?,
            targets: self.read(TARGET_DISTANCES, &start).await?,
        }))
    }

    /// Keeps results as a whole. They have no pictures, so that the distances that are there are all that
    /// there will be of these pictures.
    ///
    /// # Errors
    /// [`HistoryError::Quota`] or [`HistoryError::Failed`].
    pub async fn keep_results(
        &self,
        id: ExperimentId,
        results: &Results,
    ) -> Result<(), HistoryError> {
        let Ok(manifest) = results.manifest.to_json() else {
            return Ok(());
        };
        let mut values = vec![(MANIFESTS, start(id), JsValue::from_str(&manifest))];
        for it in &results.pictures {
            values.push((PICTURES, picture_key(id, it.id), to_js(it)?));
        }
        values.extend(measured(
            id,
            &results.rows,
            &results.changes,
            &results.scores,
            &results.targets,
        )?);
        self.put_all(values).await
    }

    /// Forgets an experiment; no error where there is none.
    ///
    /// # Errors
    /// [`HistoryError::Failed`].
    pub async fn delete(&self, id: ExperimentId) -> Result<(), HistoryError> {
        let range = range(&start(id)).map_err(failed("deleting"))?;
        indexed_db::write(&self.database, &ALL, |transaction| {
            for store in ALL {
                transaction.object_store(store)?.delete(range.clone())?;
            }
            Ok(())
        })
        .await
        .map_err(failed("deleting"))
    }

    async fn put_all(
        &self,
        values: Vec<(&'static str, String, JsValue)>,
    ) -> Result<(), HistoryError> {
        indexed_db::write(&self.database, &ALL, |transaction| {
            for (store, key, value) in values {
                let store = transaction.object_store(store)?;
                store.put(&value, Some(&JsValue::from_str(&key)))?;
            }
            Ok(())
        })
        .await
        .map_err(failed("storing"))
    }

    async fn put(
        &self,
        store: &'static str,
        key: &str,
        value: JsValue,
    ) -> Result<(), HistoryError> {
        indexed_db::write(&self.database, &[store], |transaction| {
            let store = transaction.object_store(store)?;
            store.put(&value, Some(&JsValue::from_str(key))).map(drop)
        })
        .await
        .map_err(failed("storing"))
    }

    async fn all(&self, store: &'static str) -> Result<Vec<(JsValue, JsValue)>, HistoryError> {
        self.found(store, None).await
    }

    /// What stands under keys that begin with a text, in the order of their keys.
    async fn within(
        &self,
        store: &'static str,
        start: &str,
    ) -> Result<Vec<(JsValue, JsValue)>, HistoryError> {
        let range = range(start).map_err(failed("reading"))?;
        self.found(store, Some(range)).await
    }

    async fn found(
        &self,
        store: &'static str,
        range: Option<Query>,
    ) -> Result<Vec<(JsValue, JsValue)>, HistoryError> {
        let read = async {
            let transaction = self
                .database
                .transaction(&[store], TransactionMode::ReadOnly)?;
            let store = transaction.object_store(store)?;
            // Both are asked for before either is awaited: a transaction ends when nothing is.
            let keys = store.get_all_keys(range.clone(), None)?;
            let values = store.get_all(range, None)?;
            let keys = keys.await?;
            Ok(keys.into_iter().zip(values.await?).collect())
        };
        read.await.map_err(failed("reading"))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        store: &'static str,
        start: &str,
    ) -> Result<Vec<T>, HistoryError> {
        let found = self.within(store, start).await?;
        let values = found.into_iter();
        Ok(values
            .filter_map(|(_, value)| serde_wasm_bindgen::from_value(value).ok())
            .collect())
    }

    async fn count(&self, store: &'static str, id: ExperimentId) -> Result<u32, HistoryError> {
        let range = range(&start(id)).map_err(failed("reading"))?;
        let read = async {
            let transaction = self
                .database
                .transaction(&[store], TransactionMode::ReadOnly)?;
            transaction.object_store(store)?.count(Some(range))?.await
        };
        read.await.map_err(failed("reading"))
    }
}

/// What was measured, each with its object store and its key.
fn measured(
    id: ExperimentId,
    rows: &[RowRecord],
    changes: &[ChangeRecord],
    scores: &[ScoreRecord],
    targets: &[TargetsRecord],
) -> Result<Vec<(&'static str, String, JsValue)>, HistoryError> {
    let mut values = Vec::new();
    for it in rows {
        let key = row_key(id, it.prompt, it.condition);
        values.push((ROWS, format!("{key}/{}", it.measure), to_js(it)?));
    }
    for it in changes {
        let key = row_key(id, it.prompt, it.condition);
        values.push((CHANGES, format!("{key}/{}", it.measure), to_js(it)?));
    }
    for it in scores {
        let key = row_key(id, it.prompt, it.condition);
        let key = format!("{key}/{}/{:?}", it.measure, it.score);
        values.push((SCORES, key, to_js(it)?));
    }
    for it in targets {
        let key = format!("{}/{}", picture_key(id, it.id), it.measure);
        values.push((TARGET_DISTANCES, key, to_js(it)?));
    }
    Ok(values)
}

/// A picture as PNG; none where it is none.
fn png_of(picture: &Image) -> Option<JsValue> {
    let bytes = png_file::encode(picture.view().ok()?, Texts::NONE).ok()?;
    Some(Uint8Array::from(bytes.as_slice()).into())
}

/// The image's number in a picture's key.
fn image_of(key: &JsValue) -> Option<u32> {
    key.as_string()?.rsplit('/').next()?.parse().ok()
}

/// The beginning of an experiment's keys. All of them have as many digits, so that their order is that of
/// the numbers.
fn start(id: ExperimentId) -> String {
    format!("{id:016}")
}

fn row_key(id: ExperimentId, prompt: u32, condition: u32) -> String {
    format!("{}/{prompt:05}/{condition:03}", start(id))
}

fn picture_key(id: ExperimentId, picture: PictureId) -> String {
    let row = row_key(id, picture.prompt, picture.condition);
    format!("{row}/{:04}", picture.image)
}

/// All keys that begin with a text.
fn range(start: &str) -> Result<Query, idb::Error> {
    let [first, last] = [start.to_owned(), format!("{start}0")];
    // The next character after the slash that parts keys.
    let range = KeyRange::bound(
        &JsValue::from_str(&first),
        &JsValue::from_str(&last),
        None,
        Some(true),
    );
    range.map(Query::KeyRange)
}
