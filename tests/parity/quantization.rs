//! The encodings' bytes against a second implementation, and their errors against gguf's.

use std::fs;

use firststep::engine::PairFiles;
use firststep::weights::format::encoder::TensorEncoder;
use firststep::weights::format::encoding::{Encoding, can_quantize};
use firststep::weights::format::safetensors;
use firststep::weights::format::sha256::sha256;
use firststep::weights::format::tensor::StoredTensor;
use serde_json::Value;

use crate::support::{BundledPair, block_on, json, values};

/// An 8-bit scale is rounded up here and to the nearest by gguf, so that steps are up to a part in
/// 1024 longer; and rounding errors of a few thousand values differ by chance, by a few parts in 1000.
/// gguf's 4-bit scale takes the extreme to −8 alone: there the margin is not used.
const TOLERANCE: f64 = 1.005;

fn source() -> Vec<StoredTensor> {
    let bytes = fs::read(values("quantization/source.safetensors")).expect("a file");
    safetensors::read("source.safetensors", &bytes).expect("tensors")
}

/// Encodes as a download does, in pieces that end inside of blocks and values.
fn encode(tensor: &StoredTensor, to: Encoding) -> StoredTensor {
    let (from, order) = (tensor.encoding, tensor.order);
    let mut encoder =
        TensorEncoder::new(&tensor.name, &tensor.shape, from, order, to).expect("an encoder");
    for piece in tensor.bytes.chunks(1001) {
        encoder.push(piece).expect("values in range");
    }
    encoder.finish().expect("all bytes")
}

/// Root of the squared error over the squared values.
fn relative_error(tensors: &[StoredTensor], encoding: Encoding) -> f64 {
    let mut squared_error = 0.0;
    let mut squared_values = 0.0;
    for tensor in tensors {
        let original = tensor.to_f32().expect("values");
        let stored = StoredTensor::encode(&tensor.name, &tensor.shape, &original, encoding, 0.0);
        let stored = stored.and_then(|stored| stored.to_f32()).expect("values");
        for (original, stored) in original.into_iter().zip(stored) {
            squared_error += (f64::from(stored) - f64::from(original)).powi(2);
            squared_values += f64::from(original).powi(2);
        }
    }
    (squared_error / squared_values).sqrt()
}

/// The quantized tensors of the emoji pair's UNet.
fn unet() -> Vec<StoredTensor> {
    let pair = BundledPair::read();
    let id = &pair.manifest.components.unet.files[0].id;
    let names = block_on(pair.tensor_names(id)).expect("names");
    names
        .iter()
        .map(|name| block_on(pair.tensor(id, name)).expect(name))
        .filter(|tensor| tensor.encoding.is_quantized())
        .collect()
}

#[test]
fn encoded_bytes_are_those_of_the_python_encoder() {
    let expected = &json("quantization/expected.json")["sha256"];
    let mut compared = 0;
    for tensor in source() {
        let hashes = expected[&tensor.name].as_object().expect(&tensor.name);
        assert_eq!(hashes.contains_key("q4"), can_quantize(&tensor.shape));
        for (name, hash) in hashes {
            let to: Encoding = serde_json::from_value(Value::from(name.as_str())).expect(name);
            let encoded = encode(&tensor, to);
            let found = Value::from(sha256(&encoded.bytes));
            assert_eq!(&found, hash, "{} as {to}", tensor.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 26);
}

#[test]
fn errors_are_not_above_ggufs() {
    let expected = &json("quantization/expected.json")["gguf_errors"];
    let mut sets: Vec<(String, Vec<StoredTensor>)> = source()
        .into_iter()
        .filter(|tensor| expected.get(&tensor.name).is_some())
        .map(|tensor| (tensor.name.clone(), vec![tensor]))
        .collect();
    sets.push(("emoji".into(), unet()));
    assert_eq!(sets.len(), expected.as_object().expect("sets").len());
    for (name, tensors) in sets {
        for encoding in [Encoding::Q8, Encoding::Q4] {
            let ours = relative_error(&tensors, encoding);
            let theirs = expected[&name][&encoding.to_string()]
                .as_f64()
                .expect(&name);
            println!("{name} as {encoding}: {ours:.6}, gguf {theirs:.6}");
            assert!(
                ours <= theirs * TOLERANCE,
                "{name} as {encoding}: {ours}, gguf {theirs}"
            );
        }
    }
}
