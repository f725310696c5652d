//! The folder that a run writes: a file is there whole or not at all, and a line of the records counts
//! once it ends.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::BatchError;
use crate::recipe::experiment::PictureId;
use crate::results::manifest::RunManifest;
use crate::results::{PictureRecord, Results};

/// The part of an experiment that a process draws: every so manieth page, another place of them in each
/// round. Pages of many conditions and of few follow each other by turns, and each shard has its share of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// All of the experiment.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether the shard draws a page of this number, counted from 0.
    pub fn includes(self, page: usize) -> bool {
        let of = self.of.max(1);
        (page + page / of) % of == self.number.saturating_sub(1)
    }
}

impl FromStr for Shard {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Shard, BatchError> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, of)| {
            let shard = Shard {
                number: number.parse().ok()?,
                of: of.parse().ok()?,
            };
            (1..=shard.of).contains(&shard.number).then_some(shard)
        });
        numbers.ok_or_else(|| BatchError::Shard {
            text: text.to_owned(),
        })
    }
}

/// A folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

const MANIFEST: &str = "run.json";
const RECORDS: &str = "records";
/// What was measured.
pub(super) const RESULTS: &str = "results.json";

impl RunFolder {
    /// The folder at a path, whether or not it is there.
    pub fn new(path: &Path) -> RunFolder {
        RunFolder {
            path: path.to_owned(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What runs in the folder.
    ///
    /// # Errors
    /// Nothing does, or its `run.json` can't be read.
    pub fn manifest(&self) -> Result<RunManifest, BatchError> {
        let path = self.path.join(MANIFEST);
        if !path.is_file() {
            return Err(BatchError::NoRun {
                folder: self.path.clone(),
            });
        }
        let text = fs::read_to_string(&path).map_err(|error| BatchError::reading(&path, &error))?;
        Ok(RunManifest::from_json(&text)?)
    }

    /// Begins a run, or goes on with it.
    ///
    /// # Errors
    /// The folder has another run, or can't be written.
    pub fn begin(&self, manifest: &RunManifest) -> Result<(), BatchError> {
        match self.manifest() {
            Ok(known) if known.belongs_with(manifest) => Ok(()),
            Ok(_) => Err(BatchError::OtherRun {
                folder: self.path.clone(),
            }),
            Err(BatchError::NoRun { .. }) => self.write(MANIFEST, manifest.to_json()?.as_bytes()),
            Err(error) => Err(error),
        }
    }

    /// Writes a file below the folder: whoever looks sees all of it or nothing.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BatchError> {
        let path = self.path.join(name);
        let failed = |error: std::io::Error| BatchError::writing(&path, &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        // Two shards may write the same file.
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let mut file = File::create(&beside).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        drop(file);
        fs::rename(&beside, &path).map_err(failed)
    }

    /// All records whose pictures are there, by picture. A line that was cut off when its process was
    /// killed is none.
    ///
    /// # Errors
    /// The records can't be read.
    pub fn records(&self) -> Result<BTreeMap<PictureId, PictureRecord>, BatchError> {
        let folder = self.path.join(RECORDS);
        let mut records = BTreeMap::new();
        if !folder.is_dir() {
            return Ok(records);
        }
        let failed = |error: std::io::Error| BatchError::reading(&folder, &error);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|it| it == "jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let bytes = fs::read(&path).map_err(|error| BatchError::reading(&path, &error))?;
            for line in whole_lines(&bytes).split(|byte| *byte == b'\n') {
                let Ok(record) = serde_json::from_slice::<PictureRecord>(line) else {
                    continue;
                };
                let is_there = |file: &String| self.path.join(file).is_file();
                if record.file.as_ref().is_none_or(is_there) {
                    records.entry(record.id).or_insert(record);
                }
            }
        }
        Ok(records)
    }

    /// The same in the order of the pictures.
    ///
    /// # Errors
    /// The records can't be read.
    pub fn pictures(&self) -> Result<Vec<PictureRecord>, BatchError> {
        Ok(self.records()?.into_values().collect())
    }

    /// What was measured and written; none where nothing was, or another version of the program wrote it.
    pub fn results(&self) -> Option<Results> {
        let text = fs::read_to_string(self.path.join(RESULTS)).ok()?;
        Results::from_json(&text).ok()
    }

    /// The records of a shard, to be added to.
    ///
    /// # Errors
    /// They can't be written.
    pub fn open_records(&self, shard: Shard) -> Result<Records, BatchError> {
        let folder = self.path.join(RECORDS);
        fs::create_dir_all(&folder).map_err(|error| BatchError::writing(&folder, &error))?;
        let path = folder.join(format!("{}-of-{}.jsonl", shard.number, shard.of));
        let failed = |error: std::io::Error| BatchError::writing(&path, &error);
        if path.is_file() {
            // What was cut off would be the beginning of the next line.
            let bytes = fs::read(&path).map_err(failed)?;
            let whole = whole_lines(&bytes);
            if whole.len() < bytes.len() {
                let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
                file.set_len(whole.len() as u64).map_err(failed)?;
            }
        }
        let options = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Records {
            file: options.map_err(failed)?,
            path,
        })
    }
}

/// The lines of a file that have their ends.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    end.and_then(|end| bytes.get(..=end)).unwrap_or_default()
}

/// The records that a shard adds to.
pub struct Records {
    file: File,
    path: PathBuf,
}

impl Records {
    /// Adds a record, and returns once it is on the disk.
    ///
    /// # Errors
    /// It can't be written.
    pub fn add(&mut self, record: &PictureRecord) -> Result<(), BatchError> {
        let failed = |error: std::io::Error| BatchError::writing(&self.path, &error);
        let mut line = serde_json::to_vec(record).map_err(crate::results::ResultsError::from)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)?;
        self.file.sync_data().map_err(failed)
    }
}
