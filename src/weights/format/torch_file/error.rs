//! Why a file of torch's can't be read.

/// The longest pickle that is read, in bytes. That of all of SDXL is a tenth as long, and reading one takes
/// up to some sixty times its length of memory.
pub const MAXIMUM_PICKLE_LENGTH: u64 = 4 * 1024 * 1024;

/// The longest table of contents that is read of an archive, in bytes: a hundred thousand tensors.
pub const MAXIMUM_DIRECTORY_LENGTH: u64 = 16 * 1024 * 1024;

/// How many times as long as their file tensors that share values may be together.
pub const MAXIMUM_COPIES: u64 = 8;

/// The most dimensions that a tensor may have.
pub const MAXIMUM_DIMENSIONS: usize = 8;

/// The longest name in a sentence, in characters: it comes from the file.
const LONGEST_NAME: usize = 120;

/// Why a file of torch's can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum TorchFileError {
    /// Neither an archive nor a pickle.
    #[error(
        "{file} is not a file that torch saved: it doesn't begin as one. If it was downloaded, make sure that it \
         is the file itself and no page about it."
    )]
    NotTorch { file: String },
    /// The format of torch before version 1.6.
    #[error(
        "{file} is in the old format of torch before version 1.6, which is not read here. Save it again \
         with torch 1.6 or later, or as safetensors."
    )]
    OldFormat { file: String },
    /// A pickle without an archive around it.
    #[error(
        "{file} is a plain pickle, which is not read here. Save its tensors with torch.save of torch 1.6 \
         or later, or as safetensors."
    )]
    PlainPickle { file: String },
    /// An archive of something else.
    #[error(
        "{file} is a zip archive, but none that torch saved: there is no data.pkl in it. If the weights \
         are packed in it, unpack it first."
    )]
    NoPickle { file: String },
    /// The file ends too early.
    #[error(
        "The file {file} is cut off. Get it again; if that doesn't help, the copy at its source is \
         incomplete."
    )]
    CutOff { file: String },
    /// The archive is not as an archive should be.
    #[error("The archive {file} can't be read: {reason}. Get it again from its source.")]
    Archive { file: String, reason: String },
    /// A packed or encrypted member.
    #[error(
        "The archive {file} was packed by another program than torch: its member {member} is \
         compressed or encrypted. Save it again with torch, or as safetensors."
    )]
    Packed { file: String, member: String },
    /// Numbers whose first byte is the highest.
    #[error(
        "The numbers in {file} are in the byte order of another kind of machine (big-endian), which is \
         not read here. Save it again on a usual computer, or as safetensors."
    )]
    BigEndian { file: String },
    /// A pickle or a table of contents over the limit.
    #[error(
        "The {part} of {file} is {length} bytes long; more than {maximum} are refused. This is no usable \
         file of weights."
    )]
    TooLong {
        file: String,
        part: &'static str,
        length: u64,
        maximum: u64,
    },
    /// The pickle asks for something that no tensor needs.
    #[error(
        "{file} would call {name} when torch opens it: it is refused, since weights need no such thing. \
         Nothing of it has been run here. If you trust its source, save its weights alone, or as safetensors."
    )]
    Forbidden { file: String, name: String },
    /// An instruction that no state dict needs.
    #[error(
        "The pickle in {file} has the instruction {opcode:#04x} at byte {position}: it is refused, since \
         weights need no such thing. Save its weights alone with torch.save, or as safetensors."
    )]
    Opcode {
        file: String,
        opcode: u8,
        position: usize,
    },
    /// The pickle is not as a pickle should be.
    #[error("The pickle in {file} can't be read: {reason}. Get the file again from its source.")]
    Pickle { file: String, reason: &'static str },
    /// Few bytes that name many tensors.
    #[error(
        "{file} names more or larger tensors than a file of its size can hold, so it was made to \
         mislead. Get it from a source that you trust."
    )]
    TooMuch { file: String },
    /// No tensors with names.
    #[error(
        "{file} holds no tensors by name, as a state dict does. Save the model's state dict, not a list \
         or a single tensor."
    )]
    NoTensors { file: String },
    /// Two tensors of one name.
    #[error("{file} has two tensors of the name {tensor}, so it is not clear which one is meant.")]
    Twice { file: String, tensor: String },
    /// A tensor that can't be read.
    #[error("The tensor {tensor} in {file} can't be read: {reason}.")]
    Tensor {
        file: String,
        tensor: String,
        reason: &'static str,
    },
}

/// A name of the file's own for a sentence: of bounded length, and without signs that can't be seen.
pub(super) fn shown(name: &str) -> String {
    let mut shown: String = name
        .chars()
        .take(LONGEST_NAME)
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect();
    if name.chars().nth(LONGEST_NAME).is_some() {
        shown.push('…');
    }
    shown
}
