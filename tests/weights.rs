//! Readers, quantization, manifests and packs, with sound and with unsound input.

#![expect(
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use firststep::weights::format::encoding::{BLOCK, Encoding};
use firststep::weights::format::order::Order;
use firststep::weights::format::rules::EncodingRule;
use firststep::weights::format::safetensors::{self, Header, SafetensorsError};
use firststep::weights::format::sha256::sha256;
use firststep::weights::format::tensor::{StoredTensor, TensorError};
use firststep::weights::manifest::pack::{
    QuantizationError, encode_tensor, pack_blob, pack_shard, shards,
};
use firststep::weights::manifest::verify::{FileContent, FileVerifier, VerifyError, gunzip, split};
use firststep::weights::manifest::{Compression, Manifest, ManifestError, ManifestFile};
use serde_json::{Value, json};

/// Values that are distributed nearly as weights are: sums of four uniforms, from a linear congruential
/// generator.
fn weights(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count)
        .map(|_| (uniform() + uniform() + uniform() + uniform()) * 0.1)
        .collect()
}

/// A safetensors file with this header and this many bytes of data.
fn file(header: Value, data_length: usize) -> Vec<u8> {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data_length]);
    bytes
}

fn entry(dtype: &str, shape: &[u64], from: u64, to: u64) -> Value {
    json!({"dtype": dtype, "shape": shape, "data_offsets": [from, to]})
}

/// The error of reading a file that is not sound; it has to be a sentence that names the file.
fn refusal(bytes: &[u8]) -> SafetensorsError {
    let error = safetensors::read("unet.safetensors", bytes).expect_err("it should be refused");
    let sentence = error.to_string();
    assert!(sentence.contains("unet.safetensors"), "{sentence}");
    assert!(sentence.ends_with('.'), "{sentence}");
    error
}

mod reader {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let tensors = [
            (Encoding::F32, "a"),
            (Encoding::F16, "b"),
            (Encoding::BF16, "c"),
            (Encoding::Q8, "d"),
            (Encoding::Q4, "e"),
        ]
        .map(|(encoding, name)| {
            let tensor =
                StoredTensor::encode(name, &[2, 32, 1, 2], &weights(128, 1), encoding, 0.0)
                    .unwrap();
            assert_eq!(tensor.order == Order::ChannelsLast, encoding.is_quantized());
            tensor
        });
        let bytes = safetensors::write("unet.safetensors", &tensors).unwrap();
        let mut read = safetensors::read("unet.safetensors", &bytes).unwrap();
        read.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(read, tensors);
        let again = safetensors::write("unet.safetensors", &tensors).unwrap();
        assert_eq!(bytes, again, "the same tensors give the same bytes");
    }

    #[test]
    fn values_without_blocks_are_written_in_the_order_that_everybody_reads() {
        let values = weights(2 * 5 * 6, 8);
        for encoding in [Encoding::F32, Encoding::F16, Encoding::BF16] {
            let tensor = StoredTensor::encode("w", &[2, 5, 3, 2], &values, encoding, 0.0).unwrap();
            let (last, _) = tensor.clone().into_channels_last().unwrap();
            let bytes = safetensors::write("unet.safetensors", &[last]).unwrap();
            let read = safetensors::read("unet.safetensors", &bytes).unwrap();
            assert_eq!(read, [tensor]);
        }
    }

    /// The header's entry of a list of quantized tensors.
    fn listed(key: &str, list: &Value) -> Value {
        json!({key: list.to_string()})
    }

    #[test]
    fn files_of_the_format_before_are_row_major() {
        // Eight-bit values of a scale of 1: their places can be told.
        let quanta: Vec<u8> = (0..64).collect();
        let mut data = quanta.clone();
        data.extend([0, 0x3c, 0, 0x3c]);
        let tensor = json!({"encoding": "q8", "shape": [1, 32, 1, 2]});
        let read = |metadata: Value| {
            let header =
                json!({"__metadata__": metadata, "w": entry("U8", &[68], 0, data.len() as u64)});
            let mut bytes = file(header, 0);
            bytes.extend(&data);
            safetensors::read("unet.safetensors", &bytes).map(|mut tensors| tensors.remove(0))
        };
        let before = read(listed("firststep.encodings", &json!({"w": tensor}))).unwrap();
        assert_eq!(before.order, Order::RowMajor);
        let expected: Vec<f32> = quanta.iter().map(|&q| f32::from(q)).collect();
        assert_eq!(before.to_f32().unwrap(), expected);

        let mut list = json!({"format": 2, "tensors": {"w": tensor}});
        assert_eq!(
            read(listed("firststep.quantized", &list)).unwrap(),
            before,
            "an order that isn't said"
        );
        list["tensors"]["w"]["order"] = json!("channels_last");
        let now = read(listed("firststep.quantized", &list)).unwrap();
        assert_eq!(now.order, Order::ChannelsLast);
        let by_channel: Vec<f32> = (0..32u8)
            .flat_map(|channel| [channel, channel + 32].map(f32::from))
            .collect();
        assert_eq!(now.to_f32().unwrap(), by_channel);
        // An order is nothing that a file of the format before could say.
        let odd = json!({"w": list["tensors"]["w"]});
        assert_eq!(read(listed("firststep.encodings", &odd)).unwrap(), before);

        list["tensors"]["w"]["order"] = json!("reversed");
        let error = read(listed("firststep.quantized", &list)).unwrap_err();
        assert!(matches!(error, SafetensorsError::Header { .. }), "{error}");
        let later = json!({"format": 3, "tensors": "of another form"});
        let error = read(listed("firststep.quantized", &later)).unwrap_err();
        assert!(
            matches!(error, SafetensorsError::Format { found: 3, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("Reload"), "{error}");
    }

    #[test]
    fn truncation_is_refused_wherever_it_falls() {
        let whole = file(json!({"a": entry("F16", &[4], 0, 8)}), 8);
        assert!(safetensors::read("unet.safetensors", &whole).is_ok());
        for length in 0..whole.len() {
            assert!(
                matches!(
                    refusal(&whole[..length]),
                    SafetensorsError::Truncated { found, .. } if found == length as u64
                ),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn surplus_bytes_are_refused() {
        let bytes = file(json!({"a": entry("F16", &[4], 0, 8)}), 11);
        assert!(matches!(
            refusal(&bytes),
            SafetensorsError::Surplus { surplus: 3, .. }
        ));
    }

    #[test]
    fn a_header_over_100_megabytes_is_refused_unread() {
        let mut bytes = 100_000_001u64.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        assert!(matches!(
            refusal(&bytes),
            SafetensorsError::HeaderTooLong {
                length: 100_000_001,
                ..
            }
        ));
        let at_the_limit = 100_000_000u64.to_le_bytes();
        assert!(matches!(
            refusal(&at_the_limit),
            SafetensorsError::Truncated { .. }
        ));
        assert!(matches!(
            refusal(&[255; 16]),
            SafetensorsError::HeaderTooLong { .. }
        ));
    }

    #[test]
    fn overlapping_tensors_are_refused_by_name() {
        let bytes = file(
            json!({"one": entry("F16", &[4], 0, 8), "two": entry("F16", &[4], 6, 14)}),
            14,
        );
        let SafetensorsError::Overlap { first, second, .. } = refusal(&bytes) else {
            panic!("an overlap");
        };
        assert_eq!((first.as_str(), second.as_str()), ("one", "two"));
    }

    #[test]
    fn holes_are_refused_by_name() {
        for (from, length) in [(10, 2), (9, 1)] {
            let bytes = file(
                json!({"one": entry("F16", &[4], 0, 8), "two": entry("F16", &[4], from, from + 8)}),
                from as usize + 8,
            );
            assert_eq!(
                refusal(&bytes),
                SafetensorsError::Hole {
                    file: "unet.safetensors".into(),
                    tensor: "two".into(),
                    length
                }
            );
        }
    }

    #[test]
    fn malformed_entries_are_refused_by_name() {
        for bad in [
            json!({"dtype": "F16", "shape": [4]}),
            json!({"dtype": "F16", "shape": [-4], "data_offsets": [0, 8]}),
            json!({"dtype": "F16", "shape": [4], "data_offsets": [8, 0]}),
            json!({"dtype": "F16", "shape": [4], "data_offsets": [0]}),
            json!("F16"),
        ] {
            let error = refusal(&file(json!({"bad": bad}), 8));
            assert!(
                matches!(&error, SafetensorsError::Entry { tensor, .. } if tensor == "bad"),
                "{error}"
            );
        }
    }

    #[test]
    fn headers_that_are_no_header_are_refused() {
        let mut bytes = 4u64.to_le_bytes().to_vec();
        bytes.extend(b"nope");
        assert!(matches!(refusal(&bytes), SafetensorsError::Header { .. }));
        let error = refusal(&file(json!({"__metadata__": {"n": 1}}), 0));
        assert!(matches!(error, SafetensorsError::Header { .. }));
        let error = refusal(&file(json!([1, 2]), 0));
        assert!(matches!(error, SafetensorsError::Header { .. }));
    }

    #[test]
    fn shapes_that_do_not_fit_their_bytes_are_refused() {
        for shape in [vec![3], vec![5], vec![u64::from(u32::MAX); 4]] {
            let error = refusal(&file(json!({"a": entry("F16", &shape, 0, 8)}), 8));
            assert!(matches!(error, SafetensorsError::Length { .. }), "{error}");
        }
    }

    #[test]
    fn weights_of_other_dtypes_are_refused_but_position_ids_are_left_out() {
        for dtype in ["I64", "U8", "Q9"] {
            let error = refusal(&file(json!({"a.weight": entry(dtype, &[8], 0, 8)}), 8));
            assert!(
                matches!(&error, SafetensorsError::Dtype { dtype: found, .. } if found == dtype),
                "{error}"
            );
        }
        let bytes = file(
            json!({
                "text_model.embeddings.position_ids": entry("I64", &[1, 2], 0, 16),
                "weight": entry("F32", &[1], 16, 20),
            }),
            20,
        );
        let tensors = safetensors::read("model.safetensors", &bytes).unwrap();
        assert_eq!(tensors.len(), 1);
        assert_eq!(tensors[0].name, "weight");
    }

    #[test]
    fn the_list_of_quantized_tensors_has_to_fit_the_file() {
        let listed = |tensors: &str, stored: Value, length| {
            let list = format!(r#"{{"format": 2, "tensors": {tensors}}}"#);
            let metadata = json!({"firststep.quantized": list});
            file(json!({"__metadata__": metadata, "a": stored}), length)
        };
        let good = r#"{"a": {"encoding": "q8", "shape": [1, 32]}}"#;
        let bytes = listed(good, entry("U8", &[34], 0, 34), 34);
        let read = safetensors::read("unet.safetensors", &bytes).unwrap();
        assert_eq!(
            (read[0].encoding, &read[0].shape[..]),
            (Encoding::Q8, &[1, 32][..])
        );

        let length = |error| matches!(error, SafetensorsError::Length { .. });
        let header = |error| matches!(error, SafetensorsError::Header { .. });
        let dtype = |error| matches!(error, SafetensorsError::Dtype { .. });
        let too_long = entry("U8", &[35], 0, 35);
        assert!(length(refusal(&listed(good, too_long, 35))));
        assert!(length(refusal(&listed(
            good,
            entry("U8", &[17, 2], 0, 34),
            34
        ))));
        assert!(dtype(refusal(&listed(
            good,
            entry("F16", &[17], 0, 34),
            34
        ))));
        let odd_row = r#"{"a": {"encoding": "q8", "shape": [2, 16]}}"#;
        assert!(length(refusal(&listed(
            odd_row,
            entry("U8", &[34], 0, 34),
            34
        ))));
        let not_quantized = r#"{"a": {"encoding": "f16", "shape": [17]}}"#;
        assert!(dtype(refusal(&listed(
            not_quantized,
            entry("U8", &[34], 0, 34),
            34
        ))));
        let absent = r#"{"b": {"encoding": "q8", "shape": [1, 32]}}"#;
        assert!(header(refusal(&listed(
            absent,
            entry("F16", &[17], 0, 34),
            34
        ))));
        assert!(header(refusal(&listed(
            "{",
            entry("F16", &[17], 0, 34),
            34
        ))));
    }

    #[test]
    fn offsets_above_four_gigabytes_are_read_from_the_header_alone() {
        let large = 5_000_000_000u64;
        let bytes = file(
            json!({
                "large": entry("F16", &[large / 2], 0, large),
                "small": entry("F16", &[2], large, large + 4),
            }),
            0,
        );
        let header = Header::parse("unet.safetensors", &bytes).unwrap();
        let start = bytes.len() as u64;
        assert_eq!(header.tensors[1].range, start + large..start + large + 4);
        assert_eq!(header.file_length, start + large + 4);
    }
}

mod quantization {
    use super::*;

    fn error(values: &[f32], encoding: Encoding, minimum_step: f32) -> Vec<f32> {
        let shape = [values.len() / 64, 64];
        let tensor = StoredTensor::encode("w", &shape, values, encoding, minimum_step).unwrap();
        let stored = tensor.to_f32().unwrap();
        values.iter().zip(stored).map(|(a, b)| b - a).collect()
    }

    fn root_mean_square(values: &[f32]) -> f32 {
        (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
    }

    #[test]
    fn eight_bits_are_within_half_a_step_of_each_block() {
        for magnitude in [1.0, 1e-3, 1e4] {
            let values: Vec<f32> = weights(4096, 2).iter().map(|v| v * magnitude).collect();
            let errors = error(&values, Encoding::Q8, 0.0);
            for (block, errors) in values.chunks(BLOCK).zip(errors.chunks(BLOCK)) {
                let largest = block.iter().fold(0f32, |m, v| v.abs().max(m));
                // f16 has 11 bits, and rounds to a multiple of 2^-24 where it is subnormal.
                let step = largest / 127.0 * (1.0 + 1.0 / 1024.0) + 1.0 / 16_777_216.0;
                let worst = errors.iter().fold(0f32, |m, e| e.abs().max(m));
                assert!(worst <= step * 0.5001, "{worst} for a step of {step}");
            }
        }
    }

    #[test]
    fn a_minimum_step_bounds_the_error_and_the_number_of_values() {
        let values = weights(65536, 3);
        let minimum_step = 0.05;
        let step = minimum_step * root_mean_square(&values);
        let errors = error(&values, Encoding::Q8, minimum_step);
        // No block of these weights has a larger step: their steps are below 4/127 of the root mean
        // square.
        assert!(errors.iter().all(|e| e.abs() <= step * 0.501));
        // Uniform rounding has an error of step / sqrt(12).
        let expected = step / 12f32.sqrt();
        assert!((root_mean_square(&errors) / expected - 1.0).abs() < 0.05);
        let shape = [1024, 64];
        let bytes = |minimum_step| {
            let tensor =
                StoredTensor::encode("w", &shape, &values, Encoding::Q8, minimum_step).unwrap();
            pack_blob("w", tensor.bytes).bytes.len()
        };
        assert!((bytes(minimum_step) as f64) < 0.85 * bytes(0.0) as f64);
    }

    /// The least squared error of a block in 4 bits with any of 1600 scales.
    fn least_q4_error(block: &[f32]) -> f32 {
        let extreme = block.iter().fold(0f32, |m, v| v.abs().max(m));
        let error = |scale: f32| {
            let step = half::f16::from_f32(scale).to_f32();
            let values = block.iter();
            values
                .map(|v| (v / step).round_ties_even().clamp(-8.0, 7.0) * step - v)
                .map(|difference| difference * difference)
                .sum()
        };
        (400..1200)
            .map(|i| extreme / (i as f32 * 0.01))
            .flat_map(|scale| [error(scale), error(-scale)])
            .fold(f32::INFINITY, f32::min)
    }

    #[test]
    fn four_bits_are_as_near_as_any_scale_allows() {
        let gaussian = weights(8192, 4);
        let heavy: Vec<f32> = gaussian.iter().map(|v| v * v * v).collect();
        for values in [gaussian, heavy] {
            let squared: f32 = error(&values, Encoding::Q4, 0.0)
                .iter()
                .map(|e| e * e)
                .sum();
            let least: f32 = values.chunks(BLOCK).map(least_q4_error).sum();
            let surplus = (squared / least).sqrt() - 1.0;
            // The module's table has 0.23 % and less for such values.
            assert!(surplus < 0.005, "{surplus} above the least error");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for encoding in [Encoding::Q8, Encoding::Q4] {
            let mut values = weights(64, 5);
            values[..BLOCK].fill(0.0);
            let tensor = StoredTensor::encode("w", &[1, 64], &values, encoding, 0.0).unwrap();
            assert_eq!(tensor.to_f32().unwrap()[..BLOCK], [0.0; BLOCK]);
        }
    }

    #[test]
    fn floats_keep_their_values() {
        let values = [0.0, -0.5, 1.5, 65504.0];
        for encoding in [Encoding::F32, Encoding::F16] {
            let tensor = StoredTensor::encode("b", &[4], &values, encoding, 0.0).unwrap();
            assert_eq!(tensor.to_f32().unwrap(), values);
        }
        let tensor = StoredTensor::encode("b", &[2], &[1.0, -3.0], Encoding::BF16, 0.0).unwrap();
        assert_eq!(tensor.bytes, [0x80, 0x3f, 0x40, 0xc0]);
        assert_eq!(tensor.to_f32().unwrap(), [1.0, -3.0]);
    }

    #[test]
    fn what_can_not_be_stored_is_refused_by_name() {
        let encode = |shape: &[usize], values: &[f32], encoding| {
            let error = StoredTensor::encode("w", shape, values, encoding, 0.0).unwrap_err();
            assert!(error.to_string().contains(" w "), "{error}");
            error
        };
        for encoding in [Encoding::Q8, Encoding::Q4] {
            for shape in [vec![32], vec![32, 1], vec![2, 16], vec![4, 0]] {
                let values = vec![1.0; shape.iter().product()];
                let error = encode(&shape, &values, encoding);
                assert!(matches!(error, TensorError::Blocks { .. }), "{error}");
            }
        }
        for (encoding, value) in [
            (Encoding::F16, 65600.0),
            (Encoding::Q8, f32::NAN),
            (Encoding::Q8, 1e7),
            (Encoding::Q4, f32::INFINITY),
            (Encoding::Q4, 4e5),
        ] {
            let mut values = [1.0; 32];
            values[7] = value;
            let error = encode(&[1, 32], &values, encoding);
            assert!(matches!(error, TensorError::Range { .. }), "{error}");
        }
        let error = encode(&[2, 32], &[0.0; 63], Encoding::F32);
        assert!(matches!(error, TensorError::Values { found: 63, .. }));
        let error = StoredTensor::new(
            "w".into(),
            Encoding::F16,
            Order::RowMajor,
            vec![2],
            vec![0; 3],
        )
        .unwrap_err();
        assert!(matches!(error, TensorError::Length { found: 3, .. }));
    }

    #[test]
    fn values_are_those_of_the_python_reader() {
        let cases: Value =
            serde_json::from_str(include_str!("parity/values/weights.json")).unwrap();
        let cases = cases.as_array().unwrap();
        assert_eq!(cases.len(), 6);
        for case in cases {
            let hex = case["bytes"].as_str().unwrap();
            let bytes = (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                .collect();
            let tensor = StoredTensor::new(
                "w".into(),
                serde_json::from_value(case["encoding"].clone()).unwrap(),
                serde_json::from_value(case["order"].clone()).unwrap(),
                serde_json::from_value(case["shape"].clone()).unwrap(),
                bytes,
            )
            .unwrap();
            let expected: Vec<f32> = serde_json::from_value(case["values"].clone()).unwrap();
            // One multiplication in f32 on both sides: equal, without a tolerance.
            assert_eq!(tensor.to_f32().unwrap(), expected);
            let row = expected.len() / tensor.shape[0];
            let last = tensor.shape[0] - 1;
            let rows = tensor.rows(&[last, 0]).unwrap();
            assert_eq!(rows[..row], expected[last * row..]);
            assert_eq!(rows[row..], expected[..row]);
        }
    }
}

mod order {
    use super::*;

    /// Values with the input channels last.
    fn channels_last(values: &[f32], shape: [usize; 4]) -> Vec<f32> {
        let [output, input, height, width] = shape;
        let taps = height * width;
        (0..output)
            .flat_map(|row| (0..taps).map(move |tap| (row, tap)))
            .flat_map(|place| (0..input).map(move |channel| (place, channel)))
            .map(|((row, tap), channel)| *values.get((row * input + channel) * taps + tap).unwrap())
            .collect()
    }

    #[test]
    fn a_quantized_convolution_is_that_of_its_values_with_the_channels_last() {
        // The blocks of the second one lie over two taps.
        for shape in [[3, 32, 3, 3], [3, 16, 1, 2]] {
            let values = weights(shape.iter().product(), 21);
            let row = values.len() / 3;
            for encoding in [Encoding::Q8, Encoding::Q4] {
                let tensor = StoredTensor::encode("w", &shape, &values, encoding, 0.0).unwrap();
                assert_eq!(tensor.order, Order::ChannelsLast);
                // As the rows of a matrix, the values keep the order in which they are given.
                let by_tap = channels_last(&values, shape);
                let matrix = StoredTensor::encode("w", &[3, row], &by_tap, encoding, 0.0).unwrap();
                assert_eq!(matrix.order, Order::RowMajor);
                assert_eq!(tensor.bytes, matrix.bytes);
                let stored = tensor.to_f32().unwrap();
                assert_eq!(channels_last(&stored, shape), matrix.to_f32().unwrap());
                assert_eq!(tensor.rows(&[2]).unwrap(), stored[2 * row..]);
            }
        }
    }

    #[test]
    fn only_kernels_of_several_taps_have_another_order() {
        for shape in [
            vec![4, 64],
            vec![4, 64, 1, 1],
            vec![2, 1, 8, 8],
            vec![2, 32, 4],
        ] {
            let values = weights(shape.iter().product(), 22);
            for encoding in [Encoding::Q8, Encoding::Q4, Encoding::F16] {
                let tensor = StoredTensor::encode("w", &shape, &values, encoding, 0.0).unwrap();
                assert_eq!(tensor.order, Order::RowMajor, "{shape:?}");
                let last = tensor.clone().into_channels_last().unwrap();
                assert_eq!(last, (tensor, false), "{shape:?}");
            }
        }
        // Hostile sizes are no kernel either.
        for shape in [
            [0, usize::MAX, 2, 2],
            [1, usize::MAX, 2, 2],
            [1, 2, usize::MAX, 2],
        ] {
            assert_eq!(Order::of(Encoding::Q8, &shape), Order::RowMajor);
        }
    }

    #[test]
    fn values_without_blocks_change_their_order_without_a_loss() {
        let shape = [4, 5, 3, 2];
        let values = weights(shape.iter().product(), 23);
        for encoding in [Encoding::F32, Encoding::F16, Encoding::BF16] {
            let tensor = StoredTensor::encode("w", &shape, &values, encoding, 0.0).unwrap();
            assert_eq!(tensor.order, Order::RowMajor);
            let exact = tensor.to_f32().unwrap();
            let (last, is_requantized) = tensor.clone().into_channels_last().unwrap();
            assert!(!is_requantized);
            assert_eq!(last.order, Order::ChannelsLast);
            let by_tap = channels_last(&exact, shape);
            let expected = StoredTensor::encode("w", &[120], &by_tap, encoding, 0.0).unwrap();
            assert_eq!(last.bytes, expected.bytes);
            assert_eq!(last.to_f32().unwrap(), exact);
            assert_eq!(last.rows(&[1]).unwrap(), exact[30..60]);
            // Stored in another encoding, or written again, it is as everybody expects it.
            assert_eq!(last.quantize(encoding, 0.0).unwrap(), tensor);
            let single = last.quantize(Encoding::F32, 0.0).unwrap();
            assert_eq!(single.order, Order::RowMajor);
            assert_eq!(single.to_f32().unwrap(), exact);
            assert_eq!(last.clone().into_channels_last().unwrap(), (last, false));
        }
    }

    #[test]
    fn a_row_major_convolution_is_quantized_anew_within_half_a_step() {
        let shape = [3, 64, 3, 3];
        let values = weights(shape.iter().product(), 24);
        for (encoding, clipped) in [(Encoding::Q8, 0), (Encoding::Q4, 3)] {
            let before = StoredTensor::encode("w", &[3, 576], &values, encoding, 0.0).unwrap();
            let shape = shape.to_vec();
            let order = Order::RowMajor;
            let before =
                StoredTensor::new("w".into(), encoding, order, shape, before.bytes).unwrap();
            let exact = before.to_f32().unwrap();
            let (now, is_requantized) = before.into_channels_last().unwrap();
            assert!(is_requantized);
            let expected = StoredTensor::encode("w", &now.shape, &exact, encoding, 0.0).unwrap();
            assert_eq!(now, expected);
            // They follow the values.
            let count = now.element_count() / BLOCK;
            let (_, scales) = now.bytes.split_at(now.bytes.len() - 2 * count);
            let scales = scales.as_chunks().0.iter();
            let scales: Vec<f32> = scales
                .map(|&bytes| half::f16::from_le_bytes(bytes).to_f32())
                .collect();
            let by_tap = |values: Vec<f32>| channels_last(&values, [3, 64, 3, 3]);
            let (exact, converted) = (by_tap(exact), by_tap(now.to_f32().unwrap()));
            let beyond = exact
                .iter()
                .zip(&converted)
                .zip(scales.iter().flat_map(|scale| [scale.abs(); BLOCK]))
                .filter(|((a, b), step)| (*a - *b).abs() > step * 0.5001)
                .count();
            // Those that the scale of a 4-bit block clips, one of a block at most.
            assert!(
                beyond <= clipped * scales.len() / 10,
                "{encoding}: {beyond}"
            );
            assert_eq!(now.clone().into_channels_last().unwrap(), (now, false));
        }
    }
}

mod encoder {
    use super::*;
    use firststep::weights::format::encoder::TensorEncoder;

    const ALL: [Encoding; 5] = [
        Encoding::F32,
        Encoding::F16,
        Encoding::BF16,
        Encoding::Q8,
        Encoding::Q4,
    ];

    fn encode(source: &StoredTensor, to: Encoding, pieces: &[&[u8]]) -> StoredTensor {
        let (from, order) = (source.encoding, source.order);
        let mut encoder = TensorEncoder::new(&source.name, &source.shape, from, order, to).unwrap();
        for piece in pieces {
            encoder.push(piece).unwrap();
        }
        encoder.finish().unwrap()
    }

    fn refusal(from: Encoding, to: Encoding, shape: &[usize], bytes: &[u8]) -> TensorError {
        let error = TensorEncoder::new("w", shape, from, Order::RowMajor, to)
            .and_then(|mut encoder| {
                bytes.chunks(7).try_for_each(|piece| encoder.push(piece))?;
                encoder.finish()
            })
            .expect_err("it should be refused");
        assert!(error.to_string().contains(" w "), "{error}");
        error
    }

    #[test]
    fn wherever_the_source_is_cut_the_bytes_are_those_of_a_whole_tensor() {
        // Nine blocks, so that groups of blocks are cut, too, a tensor that ends within a block, and a
        // convolution, whose values change their order.
        for shape in [vec![3, 96], vec![67], vec![2, 32, 1, 3]] {
            let values = weights(shape.iter().product(), 11);
            for from in [Encoding::F32, Encoding::F16, Encoding::BF16] {
                let source = StoredTensor::encode("w", &shape, &values, from, 0.0).unwrap();
                let exact = source.to_f32().unwrap();
                for to in ALL {
                    let Ok(whole) = StoredTensor::encode("w", &shape, &exact, to, 0.0) else {
                        assert!(to.is_quantized() && shape.len() == 1);
                        continue;
                    };
                    for cut in 0..=source.bytes.len() {
                        let (first, second) = source.bytes.split_at(cut);
                        let encoded = encode(&source, to, &[first, second]);
                        assert_eq!(encoded, whole, "{from} to {to}, cut at {cut}");
                    }
                    let bytes: Vec<&[u8]> = source.bytes.chunks(1).collect();
                    assert_eq!(
                        encode(&source, to, &bytes),
                        whole,
                        "{from} to {to}, bytewise"
                    );
                }
            }
        }
    }

    #[test]
    fn what_has_the_encoding_already_is_copied() {
        for encoding in ALL {
            for shape in [vec![3, 96], vec![3, 32, 3, 1]] {
                let source =
                    StoredTensor::encode("w", &shape, &weights(288, 12), encoding, 0.0).unwrap();
                let (first, second) = source.bytes.split_at(50);
                assert_eq!(encode(&source, encoding, &[first, second]), source);
                // As an earlier version has quantized it.
                let before = StoredTensor {
                    order: Order::RowMajor,
                    ..source
                };
                let (first, second) = before.bytes.split_at(50);
                assert_eq!(encode(&before, encoding, &[first, second]), before);
            }
        }
    }

    #[test]
    fn every_f16_is_converted_exactly() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let all = StoredTensor::new(
            "w".into(),
            Encoding::F16,
            Order::RowMajor,
            vec![65536],
            bytes,
        )
        .unwrap();
        for (half, found) in (0..=u16::MAX).zip(all.to_f32().unwrap()) {
            let expected = half::f16::from_bits(half).to_f32();
            let equal = expected.to_bits() == found.to_bits();
            assert!(equal || expected.is_nan() && found.is_nan(), "{half:#06x}");
        }
    }

    #[test]
    fn f16_is_rounded_to_even() {
        // Every f16, the middle between it and the next, and the f32 on either side of both.
        let values: Vec<f32> = (0..0x7bffu16)
            .flat_map(|half| {
                let [this, next] = [half, half + 1].map(|h| half::f16::from_bits(h).to_f32());
                [this, (this + next) / 2.0]
            })
            .flat_map(|value| [value, value.next_up(), value.next_down().max(0.0)])
            .flat_map(|value| [value, -value])
            .collect();
        let found =
            StoredTensor::encode("w", &[values.len()], &values, Encoding::F16, 0.0).unwrap();
        for (value, bytes) in values.iter().zip(found.bytes.chunks(2)) {
            let expected = half::f16::from_f32(*value).to_le_bytes();
            assert_eq!(bytes, expected, "{value:e}");
        }
    }

    #[test]
    fn values_that_can_not_be_stored_are_refused_wherever_they_are() {
        for at in [0, 40, 127, 128, 200] {
            for value in [half::f16::INFINITY, half::f16::NAN, half::f16::NEG_INFINITY] {
                let mut halves = [half::f16::ONE; 224];
                halves[at] = value;
                let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
                for to in [Encoding::F32, Encoding::BF16, Encoding::Q8, Encoding::Q4] {
                    let error = refusal(Encoding::F16, to, &[1, 224], &bytes);
                    let TensorError::Range { value: found, .. } = error else {
                        panic!("{error}");
                    };
                    assert_eq!(found.to_bits(), value.to_f32().to_bits());
                }
                let last = refusal(
                    Encoding::F16,
                    Encoding::F32,
                    &[at + 1],
                    &bytes[..2 * at + 2],
                );
                assert!(matches!(last, TensorError::Range { .. }), "{last}");
            }
        }
        let large = 65520f32.to_le_bytes();
        let error = refusal(Encoding::F32, Encoding::F16, &[1], &large);
        assert!(matches!(error, TensorError::Range { .. }), "{error}");
    }

    #[test]
    fn wrong_lengths_and_encodings_are_refused() {
        let refused =
            |from, to, shape: &[usize], length: usize| refusal(from, to, shape, &vec![0; length]);
        for (from, to) in [
            (Encoding::F16, Encoding::Q8),
            (Encoding::F16, Encoding::F16),
        ] {
            for length in [126, 127, 129, 200] {
                let error = refused(from, to, &[2, 32], length);
                assert!(matches!(error, TensorError::Length { .. }), "{error}");
            }
        }
        let error = refused(Encoding::F16, Encoding::Q4, &[2, 16], 64);
        assert!(matches!(error, TensorError::Blocks { .. }), "{error}");
        let error = refused(Encoding::Q8, Encoding::Q4, &[1, 32], 34);
        assert!(matches!(error, TensorError::Requantized { .. }), "{error}");
        for shape in [vec![usize::MAX / 8], vec![usize::MAX, 32]] {
            let error = refused(Encoding::F16, Encoding::F32, &shape, 0);
            assert!(matches!(error, TensorError::Memory { .. }), "{error}");
        }
    }
}

mod rules {
    use super::*;
    use firststep::weights::format::rules::target_encoding;

    #[test]
    fn the_first_rule_counts_and_quantized_tensors_stay() {
        let rules = json!([
            {"tensors": "*.attn*.to_q.weight", "encoding": "q8", "minimum_step": 0.5},
            {"tensors": "a.*", "encoding": "f32"},
            {"tensors": "*", "encoding": "q4"},
        ]);
        let rules: Vec<EncodingRule> = serde_json::from_value(rules).unwrap();
        let target = |name, shape: &[usize]| target_encoding(&rules, name, shape, Encoding::F16);
        assert_eq!(target("a.attn1.to_q.weight", &[2, 32]), (Encoding::Q8, 0.5));
        assert_eq!(
            target("a.attn1.to_q.weight", &[2, 31]),
            (Encoding::F16, 0.0)
        );
        assert_eq!(target("a.attn1.to_q.bias", &[64]), (Encoding::F32, 0.0));
        assert_eq!(target("attn1.to_q.weight", &[2, 32]), (Encoding::Q4, 0.0));
        let stays = target_encoding(&rules, "a.weight", &[2, 32], Encoding::Q8);
        assert_eq!(stays, (Encoding::Q8, 0.0));
        let none = target_encoding(&[], "a.weight", &[2, 32], Encoding::F32);
        assert_eq!(none, (Encoding::F16, 0.0));
    }

    #[test]
    fn patterns_fit_whole_names_at_once() {
        let fits = |pattern: &str, name: &str| {
            let rule = json!({"tensors": pattern, "encoding": "f32"});
            let rules = [serde_json::from_value(rule).unwrap()];
            target_encoding(&rules, name, &[1], Encoding::F16).0 == Encoding::F32
        };
        for (pattern, name) in [
            ("*", ""),
            ("a", "a"),
            ("a*b*c", "abbc"),
            ("*ab", "aab"),
            ("a**", "a"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("a*a", "a"),
            ("a*b", "ba"),
            ("*b*b", "ab"),
            ("é*", "e"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        // A search that goes back at each star would not come to an end.
        assert!(!fits(&"*a".repeat(40), &("a".repeat(80) + "b")));
    }

    #[test]
    fn a_rule_without_a_smallest_step_is_written_without_it() {
        let text = r#"{"tensors":"*","encoding":"q4"}"#;
        let rule: EncodingRule = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
    }
}

mod verification {
    use super::*;

    fn file_of(path: &str, bytes: &[u8], compression: Option<Compression>) -> ManifestFile {
        ManifestFile {
            path: path.into(),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
            compression,
            ..ManifestFile::default()
        }
    }

    fn verify(file: &ManifestFile, bytes: &[u8]) -> Result<(), VerifyError> {
        let mut verifier = FileVerifier::new(file);
        for chunk in bytes.chunks(7) {
            verifier.update(chunk)?;
        }
        verifier.finish()
    }

    #[test]
    fn the_hash_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected, "FIPS 180-4's example");
    }

    #[test]
    fn only_the_very_bytes_pass() {
        let bytes: Vec<u8> = (0..=255).collect();
        let file = file_of("vae.safetensors", &bytes, None);
        assert_eq!(verify(&file, &bytes), Ok(()));
        let mut flipped = bytes.clone();
        flipped[100] ^= 1;
        let longer = [&bytes[..], &[0]].concat();
        for (bytes, expected) in [
            (
                &bytes[..255],
                VerifyError::Truncated {
                    path: "vae.safetensors".into(),
                    expected: 256,
                    found: 255,
                },
            ),
            (
                &flipped,
                VerifyError::Hash {
                    path: "vae.safetensors".into(),
                },
            ),
            (
                &longer,
                VerifyError::TooLong {
                    path: "vae.safetensors".into(),
                    expected: 256,
                },
            ),
        ] {
            assert!(expected.to_string().contains("vae.safetensors"));
            assert_eq!(verify(&file, bytes), Err(expected));
        }
    }

    #[test]
    fn gzip_is_unpacked_within_its_limit() {
        let content = vec![7; 100_000];
        let zipped = pack_blob("vocab.json", content.clone());
        assert_eq!(zipped.entry.path, "vocab.json.gzip");
        assert_eq!(zipped.entry.name(), "vocab.json");
        assert!(zipped.bytes.len() < 1000);
        assert_eq!(
            split(&zipped.entry, zipped.bytes.clone()),
            Ok(FileContent::Blob(content))
        );
        assert!(gunzip("v", &zipped.bytes, 100_000).is_ok());
        assert!(matches!(
            gunzip("v", &zipped.bytes, 99_999),
            Err(VerifyError::UnpackedTooLong { .. })
        ));
        let shortened = &zipped.bytes[..zipped.bytes.len() - 9];
        let followed = [&zipped.bytes[..], b"more"].concat();
        let mut damaged = zipped.bytes.clone();
        damaged[30] ^= 255;
        for bytes in [shortened, &followed, &damaged, b"no gzip file", b""] {
            assert!(matches!(
                gunzip("v", bytes, 100_000),
                Err(VerifyError::Gzip { .. })
            ));
        }
    }

    #[test]
    fn safetensors_are_split_and_other_files_are_not() {
        let bytes = super::file(json!({"a": entry("F16", &[4], 0, 8)}), 8);
        let FileContent::Tensors(tensors) =
            split(&file_of("a/unet.safetensors", &bytes, None), bytes.clone()).unwrap()
        else {
            panic!("tensors");
        };
        assert_eq!(tensors[0].name, "a");
        let other = file_of("a/merges.txt", &bytes, None);
        assert_eq!(split(&other, bytes.clone()), Ok(FileContent::Blob(bytes)));
        let bad = file_of("unet.safetensors", b"bad", None);
        assert!(matches!(
            split(&bad, b"bad".to_vec()),
            Err(VerifyError::Safetensors(_))
        ));
    }
}

mod manifest {
    use super::*;

    fn good() -> Value {
        serde_json::from_str(include_str!("../public/pairs/emoji/manifest.json")).unwrap()
    }

    fn refusal(manifest: &Value) -> ManifestError {
        let error = Manifest::parse(&manifest.to_string()).expect_err("it should be refused");
        let sentence = error.to_string();
        assert!(sentence.starts_with("The manifest"), "{sentence}");
        assert!(sentence.ends_with('.'), "{sentence}");
        error
    }

    #[test]
    fn the_bundled_pairs_are_whole_and_within_their_budget() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/public/pairs/emoji/");
        let mut seen = Vec::new();
        let mut has_quantized = false;
        for name in ["manifest", "lcm", "lightning"] {
            let text = std::fs::read_to_string(format!("{folder}{name}.json")).unwrap();
            let manifest = Manifest::parse(&text).unwrap();
            let transferred = manifest.download_size() + text.len() as u64;
            assert!(transferred <= 32_000_000, "{transferred} bytes");
            for file in manifest.files() {
                if file.holds_tensors() {
                    assert!(file.stored_size.is_some(), "{name}: {}", file.path);
                }
                if seen.contains(file) {
                    continue;
                }
                seen.push(file.clone());
                let bytes = std::fs::read(format!("{folder}{}", file.path)).unwrap();
                let mut verifier = FileVerifier::new(file);
                verifier.update(&bytes).unwrap();
                verifier.finish().unwrap();
                match split(file, bytes).unwrap() {
                    FileContent::Tensors(tensors) => {
                        for tensor in &tensors {
                            let values = tensor.to_f32().unwrap();
                            assert!(values.iter().all(|v| v.is_finite()), "{}", tensor.name);
                        }
                        has_quantized |= tensors.iter().any(|t| t.encoding == Encoding::Q8);
                        let stored: usize = tensors.iter().map(|tensor| tensor.bytes.len()).sum();
                        assert_eq!(file.stored_size, Some(stored as u64), "{}", file.path);
                    }
                    FileContent::Blob(bytes) => assert!(!bytes.is_empty()),
                }
            }
        }
        assert!(has_quantized);
    }

    #[test]
    fn files_that_two_components_share_count_once() {
        let manifest = Manifest::parse(&good().to_string()).unwrap();
        let components = &manifest.components;
        assert_eq!(components.tokenizer.files, components.tokenizer_2.files);
        let names: Vec<&str> = manifest.files().iter().map(|file| file.name()).collect();
        assert_eq!(
            names.iter().filter(|name| **name == "vocab.json").count(),
            1
        );
        let sizes: u64 = manifest.files().iter().map(|file| file.size).sum();
        assert_eq!(manifest.download_size(), sizes);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let mut manifest = good();
        manifest["later"] = json!(1);
        manifest["components"]["later"] = json!({});
        manifest["defaults"]["later"] = json!([]);
        assert!(Manifest::parse(&manifest.to_string()).is_ok());
    }

    #[test]
    fn the_format_before_is_read_and_has_the_same_files() {
        let now = Manifest::parse(&good().to_string()).unwrap();
        let mut manifest = good();
        manifest["format"] = json!(3 - now.format);
        let other = Manifest::parse(&manifest.to_string()).unwrap();
        assert_eq!(other.files(), now.files());
    }

    #[test]
    fn other_formats_are_refused() {
        let mut manifest = good();
        for format in [json!(0), json!(3), json!("1"), json!(-1)] {
            manifest["format"] = format.clone();
            let found = format.to_string();
            assert_eq!(refusal(&manifest), ManifestError::Format { found });
        }
        manifest.as_object_mut().unwrap().remove("format");
        assert!(matches!(
            refusal(&manifest),
            ManifestError::Malformed { .. }
        ));
        assert!(matches!(
            refusal(&json!([])),
            ManifestError::Malformed { .. }
        ));
        assert!(matches!(
            Manifest::parse("<!doctype html>"),
            Err(ManifestError::Malformed { .. })
        ));
    }

    #[test]
    fn missing_components_and_fields_are_named() {
        for component in [
            "unet",
            "unet_distilled",
            "text_encoder_2",
            "vae",
            "tokenizer",
        ] {
            let mut manifest = good();
            manifest["components"]
                .as_object_mut()
                .unwrap()
                .remove(component);
            assert_eq!(
                refusal(&manifest),
                ManifestError::MissingComponent { component }
            );
        }
        for field in ["schedulers", "defaults", "licence", "image_size"] {
            let mut manifest = good();
            manifest.as_object_mut().unwrap().remove(field);
            let sentence = refusal(&manifest).to_string();
            assert!(sentence.contains(field), "{sentence}");
        }
    }

    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for path in [
            "/unet.safetensors",
            "../unet.safetensors",
            "a/../../unet.safetensors",
            "a//unet.safetensors",
            "./unet.safetensors",
            "https://example.org/unet.safetensors",
            "a\\unet.safetensors",
            "unet.safetensors?x",
            "%2e%2e/unet.safetensors",
            "",
        ] {
            let mut manifest = good();
            manifest["components"]["unet"]["files"][0]["path"] = json!(path);
            let path = path.to_owned();
            assert_eq!(refusal(&manifest), ManifestError::Path { path });
        }
    }

    #[test]
    fn bad_file_entries_are_refused() {
        let file = |key: &str, value: Value| {
            let mut manifest = good();
            manifest["components"]["vae"]["files"][0][key] = value;
            refusal(&manifest)
        };
        for hash in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"0".repeat(65)] {
            let error = file("sha256", json!(hash));
            assert!(matches!(error, ManifestError::Hash { .. }), "{error}");
        }
        for (key, value) in [("size", json!(-1)), ("compression", json!("brotli"))] {
            let error = file(key, value);
            assert!(matches!(error, ManifestError::Malformed { .. }), "{error}");
        }
        let mut manifest = good();
        manifest["components"]["tokenizer_2"]["files"][0]["size"] = json!(1);
        let error = refusal(&manifest);
        assert!(
            matches!(error, ManifestError::Contradiction { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_vocabulary_is_optional_and_checked() {
        let mut manifest = good();
        let group = json!({"name": "animals", "words": [["dog", "puppy"]]});
        manifest["vocabulary"] = json!({"groups": [group], "styles": ["3d"]});
        let parsed = Manifest::parse(&manifest.to_string()).unwrap();
        let vocabulary = parsed.vocabulary.clone().unwrap();
        assert_eq!(vocabulary.groups[0].words[0].synonyms(), ["puppy"]);
        let written = serde_json::to_string(&parsed).unwrap();
        assert_eq!(Manifest::parse(&written).unwrap(), parsed);

        manifest["vocabulary"]["groups"][0]["words"][0] = json!([]);
        let error = refusal(&manifest);
        assert!(matches!(error, ManifestError::Vocabulary(_)), "{error}");
        manifest["vocabulary"]["groups"][0]["words"][0] = json!("dog");
        let error = refusal(&manifest);
        assert!(matches!(error, ManifestError::Malformed { .. }), "{error}");

        manifest.as_object_mut().unwrap().remove("vocabulary");
        let without = Manifest::parse(&manifest.to_string()).unwrap();
        let written = serde_json::to_string(&without).unwrap();
        assert!(!written.contains("\"vocabulary\""), "{written}");
    }

    #[test]
    fn only_the_distilled_unet_can_be_an_adapter() {
        let mut manifest = good();
        manifest["components"]["unet_distilled"]["adapter_on"] = json!("unet");
        assert!(Manifest::parse(&manifest.to_string()).is_ok());
        manifest["components"]["vae"]["adapter_on"] = json!("unet");
        assert_eq!(
            refusal(&manifest),
            ManifestError::Adapter { component: "vae" }
        );
        let mut manifest = good();
        manifest["components"]["unet_distilled"]["adapter_on"] = json!("vae");
        let error = refusal(&manifest);
        assert!(matches!(error, ManifestError::Malformed { .. }), "{error}");
    }

    #[test]
    fn a_family_is_in_the_folder() {
        let mut manifest = good();
        let member = |path: &str| json!([{"name": "Other", "manifest": path}]);
        manifest["family"] = member("other.json");
        let parsed = Manifest::parse(&manifest.to_string()).unwrap();
        assert_eq!(parsed.family[0].manifest, "other.json");
        for path in ["../other.json", "https://example.org/other.json", ""] {
            manifest["family"] = member(path);
            let path = path.to_owned();
            assert_eq!(refusal(&manifest), ManifestError::Path { path });
        }
    }

    #[test]
    fn images_without_pixels_are_refused() {
        for size in [[0, 64], [64, 0], [64, 5000]] {
            let mut manifest = good();
            manifest["image_size"] = json!(size);
            assert!(matches!(
                refusal(&manifest),
                ManifestError::ImageSize { .. }
            ));
        }
    }
}

mod pack {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_counts_and_small_tensors_stay_f16() {
        let rules: Vec<EncodingRule> = serde_json::from_value(json!([
            {"tensors": "conv_in.*", "encoding": "f32"},
            {"tensors": "*.attn*.weight", "encoding": "q4"},
            {"tensors": "*.weight", "encoding": "q8"},
        ]))
        .unwrap();
        let expected = [
            ("conv_in.weight", vec![2, 32], Encoding::F32),
            ("mid.attn1.to_q.weight", vec![2, 32], Encoding::Q4),
            ("mid.conv1.weight", vec![2, 32, 3, 3], Encoding::Q8),
            ("mid.conv2.weight", vec![2, 4, 3, 3], Encoding::F16),
            ("mid.norm.weight", vec![64], Encoding::F16),
            ("mid.norm.bias", vec![64], Encoding::F16),
        ];
        let tensors: Vec<StoredTensor> = expected
            .iter()
            .map(|(name, shape, _)| {
                let values = weights(shape.iter().product(), 6);
                StoredTensor::encode(name, shape, &values, Encoding::F32, 0.0).unwrap()
            })
            .collect();
        let mut error = QuantizationError::default();
        let encodings: Vec<Encoding> = tensors
            .iter()
            .map(|tensor| encode_tensor(tensor, &rules, &mut error).unwrap().encoding)
            .collect();
        assert_eq!(encodings, expected.map(|(_, _, encoding)| encoding));
        assert_eq!(error.quantized, 64 + 576);
        assert!(
            (0.005..0.08).contains(&error.relative()),
            "{}",
            error.relative()
        );
    }

    #[test]
    fn large_components_are_split_between_tensors() {
        let tensors: Vec<StoredTensor> = (0..5)
            .map(|i| {
                let values = weights(100, i);
                StoredTensor::encode(&format!("t{i}"), &[100], &values, Encoding::F32, 0.0).unwrap()
            })
            .collect();
        let lengths = [400; 5];
        let files: Vec<_> = shards(&lengths, 800)
            .into_iter()
            .enumerate()
            .map(|(index, shard)| pack_shard("unet", index, 3, &tensors[shard]).unwrap())
            .collect();
        let names: Vec<&str> = files.iter().map(|file| file.entry.name()).collect();
        let expected = [1, 2, 3].map(|i| format!("unet-{i}-of-3.safetensors"));
        assert_eq!(names, expected);
        let read: Vec<StoredTensor> = files
            .into_iter()
            .flat_map(|file| match split(&file.entry, file.bytes).unwrap() {
                FileContent::Tensors(tensors) => tensors,
                FileContent::Blob(_) => panic!("tensors"),
            })
            .collect();
        assert_eq!(read, tensors);
        assert_eq!(
            shards(&lengths, 399).len(),
            5,
            "a tensor over the limit has a file of its own"
        );
        assert_eq!(shards(&lengths, 2000).len(), 1);
        let one = pack_shard("unet", 0, 1, &tensors).unwrap();
        assert_eq!(one.entry.name(), "unet.safetensors");
    }

    #[test]
    fn a_compressed_file_says_what_it_takes_unpacked() {
        let zeros = StoredTensor::encode("t", &[100], &[0.0; 100], Encoding::F32, 0.0).unwrap();
        let file = pack_shard("unet", 0, 1, &[zeros]).unwrap();
        assert_eq!(file.entry.compression, Some(Compression::Gzip));
        assert_eq!(file.entry.stored_size, Some(400));
    }

    #[test]
    fn files_over_32_mebibytes_are_not_gzipped() {
        let zeros = |length| pack_blob("w", vec![0; length]).entry.compression;
        assert_eq!(zeros(32 * 1024 * 1024), Some(Compression::Gzip));
        assert_eq!(zeros(32 * 1024 * 1024 + 1), None);
    }
}
