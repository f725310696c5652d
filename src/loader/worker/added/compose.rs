//! The manifest of an added pair, composed of the template's parts and those of the visitor's models.

#![expect(
    clippy::indexing_slicing,
    reason = "Value makes what is missing, and a manifest that was parsed is an object"
)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::place::{COMPONENTS, Model, SingleFile};
use crate::adapters::LeftOut;
use crate::loader::distillations::distillation;
use crate::loader::scheduling::{self, Marks};
use crate::loader::worker::catalogue::Pairs;
use crate::loader::worker::error::LibraryError;
use crate::weights::format::kind::{self, FileKind};
use crate::weights::manifest::hub::{self, HubError};
use crate::weights::manifest::{Manifest, ManifestFile};

/// What an adapter may add to a UNet: the projection of the embedded guidance.
const GUIDANCE: &str = "time_embedding.cond_proj.weight";

impl Pairs {
    /// Puts a model in diffusers' layout in the place of SDXL's base.
    pub(super) async fn put_base(
        &self,
        manifest: &mut Value,
        model: &Model,
    ) -> Result<(), LibraryError> {
        let place = model.place.name();
        let no_base = |kind| LibraryError::NoBase {
            place: place.clone(),
            kind,
        };
        if let Some(index) = self.json(model, "model_index.json").await? {
            if let Some(kind) = index["_class_name"].as_str().and_then(kind::other_class) {
                return Err(no_base(kind));
            }
            manifest["force_zeros_for_empty_prompt"] = scheduling::forces_zeros(&index).into();
        }
        for component in COMPONENTS {
            let config = self
                .json(model, &format!("{component}/config.json"))
                .await?;
            let weights = self.weights(model, component).await?;
            let missing = || HubError::NoComponent {
                place: place.clone(),
                component,
            };
            match (component, weights.is_empty(), config) {
                // A repository may have a UNet alone: the other components stay SDXL's.
                ("text_encoder" | "text_encoder_2" | "vae", true, None) => {}
                (_, true, _) | ("unet", _, None) => return Err(missing().into()),
                (_, false, config) => {
                    if component == "unet"
                        && let Some(kind) = config.as_ref().and_then(kind::other_unet)
                    {
                        return Err(no_base(kind));
                    }
                    let config = match config {
                        Some(config) => config,
                        None => manifest["components"][component]["config"].clone(),
                    };
                    hub::replace_component(manifest, component, config, &weights, "");
                }
            }
        }
        if let Some(config) = self.scheduler_config(model).await? {
            manifest["schedulers"]["base"] = config;
        }
        name_base(manifest, &place, &place);
        add_licence(manifest, &place, model.place.page(self.hub()));
        Ok(())
    }
}

/// Puts a single-file checkpoint in the place of SDXL's base.
pub(super) fn put_checkpoint(manifest: &mut Value, file: &SingleFile) -> Result<(), LibraryError> {
    let SingleFile {
        name,
        entry,
        header,
        page,
    } = file;
    let (kind, advice) = match FileKind::of(header) {
        FileKind::Checkpoint => {
            let config = &manifest["components"]["unet"]["config"];
            match kind::misfit(header, config) {
                None => ("", String::new()),
                Some(kind) => (kind, String::new()),
            }
        }
        FileKind::Adapter => (
            "a LoRA or another adapter",
            " Put it on a base: owner/base + its address.".to_owned(),
        ),
        FileKind::UNet => (
            "a UNet alone, with diffusers' names",
            " Give the address of its repository, or put it beside a base: owner/base + its address."
                .to_owned(),
        ),
        FileKind::Other(kind) => (kind, String::new()),
    };
    if !kind.is_empty() {
        return Err(LibraryError::NoCheckpoint {
            file: name.clone(),
            kind,
            advice,
        });
    }
    let marks = Marks::of(name, header)?;
    marks.write_into(&mut manifest["schedulers"]["base"]);
    let stored: BTreeSet<String> = header
        .tensors
        .iter()
        .flat_map(|tensor| header.naming.stored_names(&tensor.name))
        .filter_map(|stored| Some(stored.name.split_once('.')?.0.to_owned()))
        .collect();
    for component in COMPONENTS {
        if stored.contains(component) {
            let config = manifest["components"][component]["config"].clone();
            let files = std::slice::from_ref(entry);
            hub::replace_component(manifest, component, config, files, &format!("{component}."));
        }
    }
    name_base(manifest, name, &format!("The checkpoint {name}"));
    if let (Some(sentence), Some(description)) =
        (marks.sentence(), manifest["description"].as_str())
    {
        manifest["description"] = format!("{description} {sentence}").into();
    }
    add_licence(manifest, name, page.clone());
    Ok(())
}

/// A distilled model that was found.
pub(super) struct Distilled {
    /// What it is called.
    pub name: String,
    page: Option<String>,
    files: Vec<ManifestFile>,
    /// Its UNet's config; none: the base's.
    config: Option<Value>,
    /// Its scheduler's config; none: that of a known model of the kind.
    scheduler: Option<Value>,
    form: Form,
    /// Width of the embedded guidance, where its file brings that layer.
    guidance: Option<usize>,
    /// A sentence on what is left out of it.
    note: Option<String>,
}

/// How the distilled model's files hold it.
enum Form {
    UNet,
    Checkpoint,
    /// With PEFT's configuration, where that lies beside it.
    Adapter(Option<Value>),
}

impl Distilled {
    pub fn is_adapter(&self) -> bool {
        matches!(self.form, Form::Adapter(_))
    }

    /// A UNet in diffusers' layout.
    pub fn of_unet(
        name: String,
        page: Option<String>,
        files: Vec<ManifestFile>,
        config: Option<Value>,
        scheduler: Option<Value>,
    ) -> Result<Self, LibraryError> {
        if let Some(kind) = config.as_ref().and_then(kind::other_unet) {
            return Err(LibraryError::NoDistilled { file: name, kind });
        }
        Ok(Self {
            name,
            page,
            files,
            config,
            scheduler,
            form: Form::UNet,
            guidance: None,
            note: None,
        })
    }

    /// A LoRA, a UNet or a checkpoint in one file.
    pub fn of_file(file: &SingleFile, adapter_config: Option<Value>) -> Result<Self, LibraryError> {
        let form = match FileKind::of(&file.header) {
            FileKind::Adapter => Form::Adapter(adapter_config),
            FileKind::UNet => Form::UNet,
            FileKind::Checkpoint => Form::Checkpoint,
            FileKind::Other(kind) => {
                return Err(LibraryError::NoDistilled {
                    file: file.name.clone(),
                    kind,
                });
            }
        };
        let names = || {
            file.header
                .tensors
                .iter()
                .map(|tensor| tensor.name.as_str())
        };
        let guidance = file.header.tensors.iter();
        let guidance = guidance
            .filter(|tensor| tensor.name.ends_with(GUIDANCE))
            .find_map(|tensor| tensor.shape.get(1).copied());
        let left_out = LeftOut::of(names());
        Ok(Self {
            name: file.name.clone(),
            page: file.page.clone(),
            files: vec![file.entry.clone()],
            config: None,
            scheduler: None,
            note: left_out
                .sentence()
                .filter(|_| matches!(form, Form::Adapter(_))),
            form,
            guidance,
        })
    }
}

/// Puts a distilled model beside the base. `known` is a pair of the page's own with a model of the kind, whose
/// scheduler and steps it has unless its place says otherwise.
pub(super) fn put_distilled(
    manifest: &mut Value,
    distilled: Distilled,
    strength: Option<f32>,
    known: Option<&Manifest>,
) {
    let base = manifest["name"].as_str().unwrap_or_default();
    let base = base.split(" + DMD2").next().unwrap_or(base).to_owned();
    let is_adapter = distilled.is_adapter();
    let Distilled {
        name,
        page,
        files,
        config,
        scheduler,
        form,
        guidance,
        note,
    } = distilled;
    let mut config = config.unwrap_or_else(|| manifest["components"]["unet"]["config"].clone());
    if let Some(guidance) = guidance {
        config["time_cond_proj_dim"] = guidance.into();
    }
    let own_encodings = match is_adapter {
        true => json!([{"tensors": "*", "encoding": "f16"}]),
        false => manifest["components"]["unet"]["encodings"].clone(),
    };
    let prefix = if matches!(form, Form::Checkpoint) {
        "unet."
    } else {
        ""
    };
    hub::replace_component(manifest, "unet_distilled", config, &files, prefix);
    let component = &mut manifest["components"]["unet_distilled"];
    component["encodings"] = own_encodings;
    if let Form::Adapter(adapter_config) = form {
        component["adapter_on"] = "unet".into();
        if let Some(config) = adapter_config {
            component["adapter_config"] = config;
        }
        if let Some(strength) = strength {
            component["strength"] = strength.into();
        }
    }
    let defaults = &mut manifest["defaults"];
    // The template's timesteps are those that DMD2 was distilled at.
    defaults["distilled_timesteps"] = Value::Array(Vec::new());
    if let Some(known) = known {
        let own = &known.defaults;
        defaults["distilled_steps"] = own.distilled_steps.into();
        defaults["distilled_guidance"] = own.distilled_guidance.into();
        defaults["distilled_timesteps"] = json!(own.distilled_timesteps);
        manifest["schedulers"]["distilled"] = known.schedulers.distilled.clone();
    } else if let Some(own) = distillation(&name) {
        defaults["distilled_steps"] = own.steps.into();
        defaults["distilled_guidance"] = own.guidance.into();
        manifest["schedulers"]["distilled"] = own.scheduler;
    }
    if let Some(steps) = hub::steps_in_name(&name) {
        manifest["defaults"]["distilled_steps"] = steps.into();
    }
    if let Some(config) = scheduler {
        manifest["schedulers"]["distilled"] = config;
    }
    let strongly = strength.filter(|_| is_adapter);
    let strongly = strongly.map_or(String::new(), |it| format!(" at a strength of {it}"));
    let note = note.map_or(String::new(), |note| format!(" {note}"));
    manifest["id"] = "added".into();
    manifest["description"] =
        format!("{base} as the base, {name} as the distilled model{strongly}.{note}").into();
    manifest["name"] = format!("{base} + {name}").into();
    add_licence(manifest, &name, page);
}

fn name_base(manifest: &mut Value, name: &str, subject: &str) {
    manifest["name"] = format!("{name} + DMD2").into();
    manifest["id"] = "added".into();
    manifest["description"] = format!(
        "{subject} as the base, with DMD2's distillation LoRA for the steps after the first."
    )
    .into();
}

/// Adds the model's own licence, whose name this page doesn't know, to those to accept. Files of the disk were
/// got by whoever opens them.
fn add_licence(manifest: &mut Value, name: &str, page: Option<String>) {
    let Some(page) = page else {
        return;
    };
    let licence = json!({"name": format!("the licence of {name}"), "url": page});
    if let Some(licences) = manifest["licences_to_accept"].as_array_mut() {
        licences.insert(0, licence);
    }
}
