//! Files that torch saved, with the values that it has for them, and pickles that it would not have.

use std::collections::BTreeMap;

use super::error::TorchFileError;
use super::{TorchFile, pickle, read};
use crate::weights::format::encoding::Encoding;
use crate::weights::format::safetensors::{self, Header};
use crate::weights::format::tensor::StoredTensor;

fn bytes(file: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/parity/values/torch_files"
    );
    std::fs::read(format!("{folder}/{file}")).expect(file)
}

/// The file as a safetensors file, put together as a store would.
fn as_safetensors(file: &str) -> Vec<u8> {
    let bytes = bytes(file);
    let parts = read(file, &bytes)
        .and_then(|read| read.to_safetensors(file))
        .expect(file);
    let mut whole = parts.header;
    for tensor in &parts.tensors {
        let range = tensor.range.start as usize..tensor.range.end as usize;
        whole.extend(tensor.row_major(bytes[range].to_vec()).expect(file));
    }
    whole
}

/// The tensors of a safetensors file by their names, with the bytes that they have there.
fn raw(bytes: &[u8]) -> BTreeMap<String, (String, Vec<usize>, Vec<u8>)> {
    let tensors = ::safetensors::SafeTensors::deserialize(bytes).expect("a safetensors file");
    let tensors = tensors.iter().map(|(name, view)| {
        let (dtype, shape) = (view.dtype().to_string(), view.shape().to_vec());
        (name.to_owned(), (dtype, shape, view.data().to_vec()))
    });
    tensors.collect()
}

fn refusal(file: &str) -> TorchFileError {
    read(file, &bytes(file)).expect_err(file)
}

#[test]
fn names_dtypes_shapes_and_values_are_those_of_torch() {
    let mut expected: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    for (name, tensor) in raw(&bytes("expected.safetensors")) {
        let (case, name) = name.split_once('/').expect("a case and a name");
        let case = expected.entry(case.to_owned()).or_default();
        case.insert(name.to_owned(), tensor);
    }
    assert_eq!(expected.len(), 9);
    for (case, tensors) in expected {
        assert_eq!(
            raw(&as_safetensors(&format!("{case}.pt"))),
            tensors,
            "{case}"
        );
    }
}

#[test]
fn a_slider_arrives_like_every_other_file_of_weights() {
    let tensors = safetensors::read("slider", &as_safetensors("slider.pt")).expect("tensors");
    let alpha = tensors
        .iter()
        .find(|tensor| tensor.name.ends_with("to_q.alpha"));
    let alpha = alpha.expect("an alpha");
    assert_eq!(
        (alpha.encoding, alpha.shape.as_slice()),
        (Encoding::BF16, &[][..])
    );
    assert_eq!(alpha.to_f32(), Ok(vec![1.0]));
    let shape_of = |ending: &str| {
        let is_named = |tensor: &&StoredTensor| tensor.name.ends_with(ending);
        tensors
            .iter()
            .find(is_named)
            .map(|tensor| tensor.shape.as_slice())
    };
    assert_eq!(shape_of("to_q.lora_down.weight"), Some(&[4, 24][..]));
    assert_eq!(shape_of("conv1.lora_down.weight"), Some(&[4, 8, 3, 3][..]));
    // Of other dtypes, those of a layer are there, and counters and masks are not.
    let header = Header::parse("dtypes", &as_safetensors("dtypes.pt")).expect("a header");
    assert_eq!(header.unused, ["num_updates", "mask"]);
    assert_eq!(header.tensors.len(), 3);
}

#[test]
fn what_would_call_something_is_refused_by_its_name() {
    for (file, called) in [
        ("calls-system.pt", "posix.system"),
        ("calls-eval-protocol-4.pt", "builtins.eval"),
        ("calls-counter.pt", "collections.Counter"),
        ("whole-module.pt", "torch.nn.modules.container.Sequential"),
    ] {
        let error = refusal(file);
        let (file, name) = (file.to_owned(), called.to_owned());
        assert_eq!(error, TorchFileError::Forbidden { file, name });
        assert!(error.to_string().contains(called));
    }
    // Instructions that look a name up and call it at once, and those that call what they are given.
    let forbidden = |bytes: &[u8]| pickle::read("evil.pt", bytes).expect_err("a refusal");
    let file = "evil.pt".to_owned();
    let name = "os.system".to_owned();
    let calls_system = TorchFileError::Forbidden { file, name };
    assert_eq!(forbidden(b"cos\nsystem\n(X\x02\0\0\0lstR."), calls_system);
    assert_eq!(forbidden(b"(X\x02\0\0\0lsios\nsystem\n."), calls_system);
    assert_eq!(forbidden(b"\x8c\x02os\x8c\x06system\x93."), calls_system);
    for calls in [
        &b"ccollections\nOrderedDict\n)\x81."[..],
        b"(ccollections\nOrderedDict\no.",
        b"\x82\x01.",
        b"Pos.system\n.",
    ] {
        let error = forbidden(calls);
        assert!(matches!(error, TorchFileError::Opcode { .. }), "{error}");
    }
}

#[test]
fn each_other_file_has_its_sentence() {
    for (file, words) in [
        ("big-endian.pt", "big-endian"),
        ("deflated.pt", "compressed"),
        ("no-pickle.pt", "none that torch saved"),
        ("old-format.pt", "before version 1.6"),
        ("plain-pickle.pt", "a plain pickle"),
        (
            "expanded.pt",
            "The tensor a.weight in expanded.pt can't be read: it repeats",
        ),
        ("list.pt", "no tensors by name"),
        ("expected.safetensors", "not a file that torch saved"),
    ] {
        let error = refusal(file).to_string();
        assert!(error.contains(words), "{file}: {error}");
    }
    let whole = bytes("slider.pt");
    for length in (0..whole.len()).step_by(5) {
        assert!(read("slider.pt", &whole[..length]).is_err(), "{length}");
    }
    let error = read("slider.pt", &whole[..whole.len() / 2]);
    assert!(
        matches!(error, Err(TorchFileError::CutOff { .. })),
        "{error:?}"
    );
}

/// A pickle's beginning with a tensor of the slider in the memo's place 0.
fn with_tensor(rest: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage".to_vec();
    pickle
        .extend(b"ctorch\nBFloat16Storage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0))\x89NtRq\x000");
    pickle.extend(rest);
    pickle
}

/// The slider with another pickle, which is at most as long as its own.
fn slider_with(pickle: &[u8]) -> Result<TorchFile, TorchFileError> {
    let mut whole = bytes("slider.pt");
    let start = b"\x80\x02}q\0(X";
    let start = whole
        .windows(start.len())
        .position(|window| window == start);
    let start = start.expect("its pickle");
    whole[start..][..pickle.len()].copy_from_slice(pickle);
    read("slider.pt", &whole)
}

#[test]
fn few_bytes_stand_for_few_tensors() {
    let sound = slider_with(&with_tensor(b"}X\x01\0\0\0ah\0s.")).expect("one tensor");
    assert_eq!((sound.tensors.len(), sound.tensors[0].length()), (1, 2));
    // Dicts that are in one another twice: 2³² tensors.
    let mut nested = b"}X\x01\0\0\0ah\0s".to_vec();
    for _ in 0..32 {
        nested.extend(b"q\x010}X\x01\0\0\0ah\x01sX\x01\0\0\0bh\x01s");
    }
    nested.push(b'.');
    let too_much = TorchFileError::TooMuch {
        file: "slider.pt".into(),
    };
    assert_eq!(slider_with(&with_tensor(&nested)), Err(too_much.clone()));
    // A dict in itself.
    let within_itself = with_tensor(b"}q\x01X\x01\0\0\0ah\x01s.");
    assert_eq!(slider_with(&within_itself), Err(too_much));
    let twice = slider_with(&with_tensor(b"}X\x01\0\0\0ah\0sX\x01\0\0\0ah\0s."));
    let (file, tensor) = ("slider.pt".into(), "a".into());
    assert_eq!(twice, Err(TorchFileError::Twice { file, tensor }));
}
