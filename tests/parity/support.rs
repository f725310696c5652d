//! Reading of the reference values and of the bundled pair.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    future::Future,
    path::PathBuf,
};

use burn::tensor::{Device, Tensor, TensorData};
use firststep::engine::EngineError;
use firststep::engine::PairFiles;
use firststep::engine::{Host, StripRequest};
use firststep::models::Weights;
use firststep::protocol::engine::{JobEvent, TaskEvent, TaskId};
use firststep::weights::footprint::EXPANDED_LIMIT;
use firststep::weights::format::safetensors;
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::Manifest;
use firststep::weights::manifest::verify::{FileContent, FileVerifier, split};

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file below `tests/parity/values`.
pub fn values(path: &str) -> PathBuf {
    repository("tests/parity/values").join(path)
}

/// A JSON file below `tests/parity/values`.
pub fn json(path: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(values(path)).expect(path)).expect(path)
}

/// The tensors of a safetensors file below `tests/parity/values`, by name.
pub struct Reference(HashMap<String, StoredTensor>);

impl Reference {
    pub fn read(path: &str) -> Self {
        let bytes = fs::read(values(path)).expect(path);
        let tensors = safetensors::read(path, &bytes).expect(path);
        Self(
            tensors
                .into_iter()
                .map(|tensor| (tensor.name.clone(), tensor))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> &StoredTensor {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.get(name).to_f32().expect(name)
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.get(name).shape.clone()
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> BTreeMap<&str, &[usize]> {
        let tensors = self.0.values();
        tensors
            .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()))
            .collect()
    }

    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let data = TensorData::new(self.floats(name), self.shape(name));
        Tensor::from_data(data, &Device::flex())
    }

    /// The tensors whose names begin with the prefix, under the rest of their names.
    pub fn below(&self, prefix: &str) -> Vec<StoredTensor> {
        let mut tensors: Vec<_> = self
            .0
            .values()
            .filter_map(|tensor| {
                let name = tensor.name.strip_prefix(prefix)?.to_owned();
                Some(StoredTensor {
                    name,
                    ..tensor.clone()
                })
            })
            .collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    }

    /// Token ids, which the scripts store as floats: the readers of weights know no integers.
    pub fn rows_of_ids(&self, name: &str) -> Vec<Vec<u32>> {
        let length = self.shape(name)[1];
        let ids: Vec<u32> = self.floats(name).iter().map(|&id| id as u32).collect();
        ids.chunks(length).map(<[u32]>::to_vec).collect()
    }

    /// All tensors as the weights of a component.
    pub fn weights(&self, component: &str) -> Weights {
        self.weights_where(component, |_| true)
    }

    /// [`Self::weights`] of the tensors whose names are wanted.
    pub fn weights_where(&self, component: &str, wanted: impl Fn(&str) -> bool) -> Weights {
        let mut weights = Weights::new(component, &Device::flex(), EXPANDED_LIMIT);
        for tensor in self.0.values().filter(|tensor| wanted(&tensor.name)) {
            weights.insert(tensor.clone()).expect(&tensor.name);
        }
        weights
    }
}

/// Asserts that no value differs by more than the tolerance, relative to the largest value of the
/// reference: a sum of many terms is as exact as its largest terms.
pub fn assert_close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(
        found.len(),
        expected.len(),
        "{name}: another number of values"
    );
    let largest = expected
        .iter()
        .fold(0f32, |largest, x| largest.max(x.abs()));
    let difference = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        // NaN must not hide behind the comparison.
        .fold(
            0f32,
            |most, x| if x > most || x.is_nan() { x } else { most },
        );
    println!("{name}: {:.1e} of the largest value", difference / largest);
    assert!(
        difference <= tolerance * largest,
        "{name} differs by {difference} where the largest value is {largest}"
    );
}

/// Values of a tensor on the host.
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32")
}

/// Runs a future that never waits for anything outside.
pub fn block_on<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

/// The bundled pair's folder as the engine reads it: every file verified and split like a download.
pub struct BundledPair {
    pub manifest: Manifest,
    tensors: HashMap<String, Vec<StoredTensor>>,
    blobs: HashMap<String, Vec<u8>>,
    /// What the headers of files say beside their tensors.
    pub metadata: HashMap<String, BTreeMap<String, String>>,
}

impl BundledPair {
    pub fn read() -> Self {
        Self::read_relative("manifest.json")
    }

    /// The pair of another manifest in the folder.
    pub fn read_relative(manifest: &str) -> Self {
        let folder = repository("public/pairs/emoji");
        let text = fs::read_to_string(folder.join(manifest)).expect("a manifest");
        let mut manifest = Manifest::parse(&text).expect("a manifest");
        // The page opens with what shows the pair best, which the tests don't depend on.
        manifest.defaults.prompt = "image of a dog face".into();
        manifest.defaults.hybrid_base_steps = 1;
        manifest.defaults.seed = 0;
        manifest.defaults.seed_count = 4;
        let mut tensors = HashMap::new();
        let mut blobs = HashMap::new();
        for file in manifest.files() {
            let bytes = fs::read(folder.join(&file.path)).expect(&file.path);
            let mut verifier = FileVerifier::new(file);
            verifier.update(&bytes).expect("the manifest's size");
            verifier.finish().expect("the manifest's hash");
            match split(file, bytes).expect("readable weights") {
                FileContent::Tensors(list) => {
                    tensors.insert(file.id.clone(), list);
                }
                FileContent::Blob(blob) => {
                    blobs.insert(file.id.clone(), blob);
                }
            }
        }
        Self {
            manifest,
            tensors,
            blobs,
            metadata: HashMap::new(),
        }
    }

    /// Adds a file of tensors under a hash that the manifest may then name.
    pub fn add_file(&mut self, id: &str, tensors: Vec<StoredTensor>) {
        self.tensors.insert(id.to_owned(), tensors);
    }

    /// All tensors of a component.
    pub fn tensors_of(&self, component: &str) -> Vec<StoredTensor> {
        let mut components = self.manifest.components.iter();
        let (_, component) = components
            .find(|(name, _)| *name == component)
            .expect(component);
        let files = component.files.iter();
        files
            .flat_map(|file| self.file(&file.id).to_vec())
            .collect()
    }

    /// All tensors of a file that was added.
    pub fn tensors_below(&self, id: &str) -> Vec<StoredTensor> {
        self.file(id).to_vec()
    }

    /// Gives a component other tensors, in a file of its own.
    pub fn replace(&mut self, component: &str, tensors: Vec<StoredTensor>) {
        let components = &mut self.manifest.components;
        let component = match component {
            "unet" => &mut components.unet,
            "unet_distilled" => &mut components.unet_distilled,
            "text_encoder" => &mut components.text_encoder,
            _ => &mut components.text_encoder_2,
        };
        let mut file = component.files.first().expect("a file").clone();
        file.id = format!("replaced {}", file.id);
        let id = file.id.clone();
        component.files = vec![file];
        self.add_file(&id, tensors);
    }

    fn file(&self, id: &str) -> &[StoredTensor] {
        &self.tensors[id]
    }
}

impl PairFiles for BundledPair {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        Ok(self.file(id).iter().map(|x| x.name.clone()).collect())
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        let found = self.file(id).iter().find(|x| x.name == name);
        Ok(found.unwrap_or_else(|| panic!("no {name}")).clone())
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        Ok(self.metadata.get(id).cloned().unwrap_or_default())
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        let tensors = self.tensors.get(id).into_iter().flatten();
        let blob = self.blobs.get(id).map_or(0, Vec::len);
        Ok((tensors.map(|x| x.bytes.len()).sum::<usize>() + blob) as u64)
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        Ok(self.blobs[id].clone())
    }
}

/// Keeps the events of a job, and asks for strips between two steps.
#[derive(Default)]
pub struct Recorder {
    /// All but [`JobEvent::Planned`].
    pub events: Vec<JobEvent>,
    /// Steps of each row's cells, as the last job has planned them.
    pub planned: Vec<u32>,
    pub task_events: Vec<(TaskId, TaskEvent)>,
    /// Events after which the job is cancelled.
    pub cancel_after: Option<usize>,
    pub strips: VecDeque<StripRequest>,
}

impl Host for Recorder {
    fn emit(&mut self, event: JobEvent) {
        match event {
            JobEvent::Planned { steps } => self.planned = steps,
            event => self.events.push(event),
        }
    }

    fn emit_task(&mut self, id: TaskId, event: TaskEvent) {
        self.task_events.push((id, event));
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_after
            .is_some_and(|count| self.events.len() >= count)
    }

    async fn pause(&self) {}

    fn milliseconds(&self) -> f64 {
        0.0
    }

    fn take_strip(&mut self) -> Option<StripRequest> {
        // Once there is something to see.
        let has_step = self
            .events
            .iter()
            .any(|event| matches!(event, JobEvent::Step { .. }));
        has_step.then(|| self.strips.pop_front()).flatten()
    }
}
