//! Strips as animated PNG (PNG specification, third edition). Every frame is a whole picture, and
//! programs that don't know animations show the first one.

use super::image::ImageView;
use super::png_file::{self, EncodeError, Texts};

/// The most frames of an animation.
pub const MAXIMUM_FRAMES: usize = 1000;

/// One frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What is shown.
    pub image: ImageView<'a>,
    /// How long, in milliseconds: a PNG counts in fractions of 16 bits, and n/1000 seconds is exact
    /// for each of these. Zero means as short as the viewer can.
    pub delay_milliseconds: u16,
}

/// An animation that is played `plays` times, or for ever with zero.
///
/// # Errors
/// When there is no frame, or more than [`MAXIMUM_FRAMES`]; when a frame has another size or pixel
/// format than the first; or where [`png_file::encode`] would fail.
pub fn encode(frames: &[Frame<'_>], plays: u32, texts: Texts<'_>) -> Result<Vec<u8>, ApngError> {
    let count = frames.len();
    let first = match frames.first() {
        Some(frame) if count <= MAXIMUM_FRAMES => frame.image,
        _ => return Err(ApngError::FrameCount { count }),
    };
    for (index, frame) in frames.iter().enumerate() {
        let image = frame.image;
        if image.size() != first.size() || image.format() != first.format() {
            return Err(ApngError::FramesDiffer { frame: index + 1 });
        }
    }

    let mut file = Vec::new();
    let mut encoder = png_file::encoder(&mut file, first, texts)?;
    encoder
        .set_animated(count as u32, plays)
        .map_err(EncodeError::from)?;
    write_frames(encoder, frames).map_err(EncodeError::from)?;
    Ok(file)
}

fn write_frames(
    encoder: png::Encoder<'_, &mut Vec<u8>>,
    frames: &[Frame<'_>],
) -> Result<(), png::EncodingError> {
    let mut writer = encoder.write_header()?;
    for frame in frames {
        writer.set_frame_delay(frame.delay_milliseconds, 1000)?;
        writer.write_image_data(frame.image.pixels())?;
    }
    writer.finish()
}

/// Why an animation can't be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApngError {
    /// There is no frame, or there are more than [`MAXIMUM_FRAMES`].
    #[error("An animation has 1 to {MAXIMUM_FRAMES} frames, but this strip has {count}.")]
    FrameCount {
        /// Frames that were given.
        count: usize,
    },
    /// The frames are not of one kind.
    #[error(
        "Frame {frame} of the strip has another size than the first: run the cell again and save its strip then."
    )]
    FramesDiffer {
        /// The frame, counted from 1.
        frame: usize,
    },
    /// The PNG can't be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::find_recipe::{FoundRecipe, find_recipe};
    use crate::picture::image::PixelFormat;
    use crate::recipe::random::Random;

    const TEXTS: Texts = Texts {
        recipe: Some("{\"prompt\":\"🍎\"}"),
        parameters: None,
    };

    #[test]
    fn frames_and_delays_come_back() {
        let mut random = Random(7);
        for count in 1..12 {
            let format = [PixelFormat::Rgb, PixelFormat::Rgba][random.below(2)];
            let (width, height) = (1 + random.below(20), 1 + random.below(20));
            let pixels: Vec<Vec<u8>> = (0..count)
                .map(|_| random.bytes(width * height * format.channels()))
                .collect();
            let frames: Vec<Frame> = pixels
                .iter()
                .map(|pixels| Frame {
                    image: ImageView::new(width as u32, height as u32, format, pixels).unwrap(),
                    delay_milliseconds: random.next() as u16,
                })
                .collect();
            let plays = random.below(3) as u32;
            let file = encode(&frames, plays, TEXTS).unwrap();

            let mut reader = png::Decoder::new(std::io::Cursor::new(&file))
                .read_info()
                .unwrap();
            let animation = reader.info().animation_control.unwrap();
            assert_eq!(animation.num_frames, count as u32);
            assert_eq!(animation.num_plays, plays);
            let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
            for (frame, pixels) in frames.iter().zip(&pixels) {
                reader.next_frame(&mut decoded).unwrap();
                assert_eq!(&decoded, pixels);
                let control = reader.info().frame_control.unwrap();
                assert_eq!(
                    u32::from(control.delay_num) * 1000,
                    u32::from(frame.delay_milliseconds) * u32::from(control.delay_den)
                );
            }
            assert!(reader.next_frame(&mut decoded).is_err(), "a frame too many");
            assert_eq!(
                find_recipe(&file),
                Ok(FoundRecipe::Recipe(
                    TEXTS.recipe.unwrap_or_default().to_owned()
                ))
            );
        }
    }

    #[test]
    fn the_first_frame_is_the_still_picture() {
        let pixels = [[10, 20, 30], [40, 50, 60]];
        let frames = pixels.each_ref().map(|pixel| Frame {
            image: ImageView::new(1, 1, PixelFormat::Rgb, pixel).unwrap(),
            delay_milliseconds: 100,
        });
        let animation = encode(&frames, 0, TEXTS).unwrap();
        // What a program sees that passes over the chunks it does not know.
        let image_data = |file: &[u8]| {
            let mut rest = &file[8..];
            let mut data = Vec::new();
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if after.starts_with(b"IDAT") {
                    data.extend_from_slice(&after[4..4 + length]);
                }
                rest = &after[4 + length + 4..];
            }
            data
        };
        let still = png_file::encode(frames[0].image, TEXTS).unwrap();
        assert!(!image_data(&still).is_empty());
        assert_eq!(image_data(&animation), image_data(&still));
    }

    #[test]
    fn frames_have_to_be_there_and_alike() {
        assert_eq!(
            encode(&[], 0, TEXTS),
            Err(ApngError::FrameCount { count: 0 })
        );
        let bytes = [0; 12];
        let frame = |width, height, format| Frame {
            image: ImageView::new(width, height, format, &bytes).unwrap(),
            delay_milliseconds: 1,
        };
        let first = frame(2, 2, PixelFormat::Rgb);
        assert_eq!(
            encode(&[first; MAXIMUM_FRAMES + 1], 0, TEXTS),
            Err(ApngError::FrameCount {
                count: MAXIMUM_FRAMES + 1
            })
        );
        for other in [
            frame(4, 1, PixelFormat::Rgb),
            frame(3, 1, PixelFormat::Rgba),
        ] {
            assert_eq!(
                encode(&[first, first, other], 0, TEXTS),
                Err(ApngError::FramesDiffer { frame: 3 })
            );
        }
    }
}
