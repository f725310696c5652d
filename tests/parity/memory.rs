//! What leaves the device and comes again: text encoders of a large pair, and a UNet that the device has
//! no room for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use firststep::engine::{
    AdaptedPrompt, EngineError, GridState, Outcome, Pair, PairFiles, describe, generate, prompts_of,
};
use firststep::protocol::engine::Extent;
use firststep::recipe::{Axis, Mode, Prompt};
use firststep::sampler::ModelRole;
use firststep::weights::format::tensor::StoredTensor;

use crate::support::{BundledPair, Recorder, block_on, to_vec};

/// The bundled pair's files, with notes of what is read; a device fails where told to.
struct Observed {
    bundled: BundledPair,
    /// Ids of the files of which tensors were read.
    read: RefCell<BTreeSet<String>>,
    /// The file with which the device fails, and how often it will.
    failing: RefCell<Option<String>>,
    failures: Cell<u32>,
    /// Bytes that the visitor was told of.
    swaps: RefCell<Vec<u64>>,
}

impl Observed {
    fn new(expanded_limit: Option<u64>) -> Self {
        let mut bundled = BundledPair::read();
        bundled.manifest.expanded_limit = expanded_limit;
        Self {
            bundled,
            read: RefCell::default(),
            failing: RefCell::default(),
            failures: Cell::new(0),
            swaps: RefCell::default(),
        }
    }

    fn pair(&self) -> Pair {
        let pair = Pair::load(self.bundled.manifest.clone(), Device::flex(), self);
        block_on(pair).expect("the bundled pair loads")
    }

    fn id(&self, component: &str) -> String {
        let mut components = self.bundled.manifest.components.iter();
        let (_, component) = components
            .find(|(name, _)| *name == component)
            .expect(component);
        let mut files = component.files.iter();
        let file = files.find(|file| file.holds_tensors()).expect("tensors");
        file.id.clone()
    }

    /// The files of which tensors were read since the last call.
    fn take_read(&self) -> BTreeSet<String> {
        self.read.take()
    }
}

impl PairFiles for Observed {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        self.bundled.tensor_names(id).await
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        if self.failing.borrow().as_deref() == Some(id) && self.failures.get() > 0 {
            self.failures.set(self.failures.get() - 1);
            return Err(EngineError::Device {
                reason: "out of memory".into(),
            });
        }
        self.read.borrow_mut().insert(id.to_owned());
        self.bundled.tensor(id, name).await
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        self.bundled.metadata(id).await
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        self.bundled.stored_length(id).await
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        self.bundled.blob(id).await
    }

    fn note_swap(&self, bytes: u64) {
        self.swaps.borrow_mut().push(bytes);
    }
}

/// A prompt without adapters.
fn plain(text: &str) -> AdaptedPrompt {
    Prompt::plain(text).into()
}

#[test]
fn large_text_encoders_leave_and_are_read_again_for_new_prompts_only() {
    let small = Observed::new(None);
    let stays = small.pair();
    let large = Observed::new(Some(0));
    let mut leaves = large.pair();
    large.take_read();

    let prompts = ["red apple", ""].map(plain);
    assert!(!leaves.reads_text_encoder(0, &prompts), "both are there");
    block_on(leaves.encode_prompts(&prompts, &large)).expect("prompts");
    assert!(large.take_read().is_empty(), "both were there");
    for prompt in &prompts {
        let [own, other] =
            [&leaves, &stays].map(|pair| pair.encode_prompt(prompt).expect("a prompt"));
        assert_eq!(to_vec(own.context), to_vec(other.context), "{prompt:?}");
        assert_eq!(to_vec(own.pooled), to_vec(other.pooled), "{prompt:?}");
    }
    let a_dog = plain("a dog");
    let error = leaves.encode_prompt(&a_dog).err().expect("they have left");
    assert!(matches!(error, EngineError::NotLoaded), "{error}");
    assert!(stays.encode_prompt(&a_dog).is_ok());

    // Those that were encoded need nothing more.
    block_on(leaves.encode_prompts(&prompts, &large)).expect("prompts");
    assert!(large.take_read().is_empty());
    let further = ["red apple", "a dog"].map(plain);
    assert!(leaves.reads_text_encoder(0, &further) && leaves.reads_text_encoder(1, &further));
    block_on(leaves.encode_prompts(&further, &large)).expect("prompts");
    let encoders = ["text_encoder", "text_encoder_2"].map(|name| large.id(name));
    assert_eq!(large.take_read(), BTreeSet::from(encoders));
    let dog = |pair: &Pair| to_vec(pair.encode_prompt(&a_dog).expect("a prompt").pooled);
    assert_eq!(dog(&leaves), dog(&stays));
}

#[test]
fn a_grid_needs_no_other_prompts_than_were_encoded_before_it() {
    let files = Observed::new(Some(0));
    let mut pair = files.pair();
    let mut recipe = describe(&files.bundled.manifest).expect("a pair").recipe;
    recipe.modes = vec![Mode::Distilled, Mode::Hybrid];
    recipe.seed_count = 1;
    recipe.hybrid_base_guidance = 3.0;
    recipe.axis = Axis::Prompts(vec!["red apple".into(), recipe.prompt.clone()]);
    let prompts = prompts_of(&recipe);
    // Its own, the other one and the empty negative prompt.
    assert_eq!(prompts.len(), 3);
    block_on(async {
        let prompts = pair.adapted_prompts(&recipe);
        pair.encode_prompts(&prompts, &files).await?;
        pair.load_unets(&recipe.modes, &files).await?;
        let mut grid = GridState::default();
        let mut recorder = Recorder::default();
        let extent = Extent {
            depth: Some(1),
            ..Extent::default()
        };
        let outcome = generate(&pair, &recipe, &extent, &mut grid, &mut recorder).await?;
        assert_eq!(outcome, Outcome::Done);
        Ok::<_, EngineError>(())
    })
    .expect("every prompt was encoded");
}

#[test]
fn a_unet_leaves_where_the_device_has_no_room_for_both() {
    let files = Observed::new(None);
    let mut pair = files.pair();
    let distilled = files.id("unet_distilled");
    *files.failing.borrow_mut() = Some(distilled.clone());
    let mut load = |modes: &[Mode]| {
        let loaded = block_on(pair.load_unets(modes, &files));
        let roles = [ModelRole::Base, ModelRole::Distilled];
        (loaded, roles.map(|role| pair.unet(role).is_ok()))
    };
    assert!(matches!(load(&[Mode::Base]), (Ok(true), [true, false])));

    // A job that needs both fails, and what is there stays.
    files.failures.set(1);
    let (error, there) = load(&[Mode::Hybrid]);
    assert!(matches!(error, Err(EngineError::Device { .. })));
    assert_eq!(there, [true, false]);
    assert!(files.swaps.borrow().is_empty());

    files.failures.set(1);
    files.take_read();
    assert!(matches!(
        load(&[Mode::Distilled]),
        (Ok(true), [false, true])
    ));
    assert_eq!(files.take_read(), BTreeSet::from([distilled]));
    let base = files.id("unet");
    let length = block_on(files.stored_length(&base)).expect("a length");
    assert_eq!(*files.swaps.borrow(), [length]);

    // From then on the other one makes room before there is a failure.
    assert!(matches!(load(&[Mode::Base]), (Ok(true), [true, false])));
    assert_eq!(files.swaps.borrow().len(), 1);
    assert!(matches!(load(&[Mode::Base]), (Ok(false), [true, false])));

    // Where it fails without the other one too, that is the end.
    files.failures.set(2);
    let (error, _) = load(&[Mode::Distilled]);
    assert!(matches!(error, Err(EngineError::Device { .. })));
}
