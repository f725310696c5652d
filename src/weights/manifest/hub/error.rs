//! Why what the visitor gave, or what a host answered, can't be used.

/// Why what the visitor gave, or what a host answered, can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum HubError {
    /// Neither a repository nor an address.
    #[error(
        "“{text}” is neither a hub's repository (owner/name, with @revision if you like) nor an https \
         address: of a manifest, a folder or a file. A pair may also be two of them, base + distilled."
    )]
    Text { text: String },
    /// A page about something else than a model.
    #[error("{text} is {kind}, and no model: give the address of a model's repository or file.")]
    Page { text: String, kind: &'static str },
    /// A file in a format that is not read.
    #[error(
        "{file} is in {format}, in which no models are read: look for the same as safetensors, or convert \
         it. Adapters in torch's own format are read on the shelf of adapters."
    )]
    Format { file: String, format: &'static str },
    /// A strength that is no number.
    #[error(
        "“{text}” is no strength of an adapter: write a number after the asterisk, as in \
         owner/base + owner/lora * 0.7."
    )]
    Strength { text: String },
    /// A repository without a model.
    #[error(
        "{place} has no {component} in diffusers' layout: {component}/config.json and its weights as \
         safetensors are expected there. Models in torch's own format are not read; convert them first."
    )]
    NoComponent {
        place: String,
        component: &'static str,
    },
    /// A repository without a distilled model.
    #[error(
        "{place} has no distilled model that is read here: neither unet/ in diffusers' layout, nor a LoRA \
         or a UNet as safetensors beside its README. Give the address of the file itself, or take one of the \
         pairs in the list."
    )]
    NoDistilled { place: String },
    /// A repository with several files any of which could be meant.
    #[error(
        "{place} has several models, such as {first} and {second}: give the address of the file that you \
         want."
    )]
    Several {
        place: String,
        first: String,
        second: String,
    },
    /// A listing that can't be read.
    #[error("The hub's answer about {place} can't be read: {reason}.")]
    Answer { place: String, reason: String },
    /// A listing without an end.
    #[error(
        "The hub's list of the files of {place} has more than {pages} pages, which no model's repository has."
    )]
    Pages { place: String, pages: usize },
    /// A repository behind a form.
    #[error(
        "{place} is gated: the hub gives its files only to those who are logged in and have accepted its \
         terms, and this page can't log in. Accept them on the page of {place}, download its files there, and \
         open them from your disk here."
    )]
    Gated { place: String },
    /// A repository that the hub doesn't show.
    #[error(
        "The hub shows {place} to nobody who isn't logged in (HTTP status {status}): it is private or gated, \
         or there is no repository of that name. Check the name; if it is right, download its files there, and \
         open them from your disk here, as this page can't log in."
    )]
    Hidden { place: String, status: u16 },
    /// There is no such repository.
    #[error("The hub has no repository {place} (HTTP status 404). Check the name.")]
    NoRepository { place: String },
    /// There is no such revision.
    #[error("{place} has no branch, tag or commit {revision} (HTTP status 404). Check its name.")]
    NoRevision { place: String, revision: String },
    /// A repository that has been closed.
    #[error("The hub has closed {place}: {place} can't be loaded any more (HTTP status {status}).")]
    Closed { place: String, status: u16 },
    /// Civitai doesn't answer other sites.
    #[error(
        "Civitai lets this page not read the file (browsers ask a host before another site reads of it), or \
         it can't be reached. Download the file there, and open it from your disk here."
    )]
    Civitai,
    /// Civitai has no usable file.
    #[error("Civitai's model {model} has no version as safetensors. Choose another one.")]
    CivitaiModel { model: u64 },
}
