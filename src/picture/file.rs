//! Files to save, as the page asks the engine for them: encoding would hold up the page's thread.

use serde::{Deserialize, Serialize};

use super::apng::{self, ApngError};
use super::archive::archive;
use super::contact_sheet::{Cell, ContactSheet, SheetError};
use super::image::{Image, ImageError, ImageView};
use super::png_file::{self, EncodeError, Texts};

/// Plays of a saved animation: zero is for ever.
const ENDLESSLY: u32 = 0;

/// A file to encode. `recipe` is [`crate::recipe::saved_recipe::SavedRecipe::to_json`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FileRequest {
    /// A picture as PNG.
    Image {
        /// The picture.
        image: Image,
        /// The recipe's text.
        recipe: String,
        /// The `parameters` text that other programs read.
        parameters: String,
    },
    /// A strip as animated PNG.
    Animation {
        /// The frames, all of one size.
        frames: Vec<Image>,
        /// How long each is shown, in milliseconds.
        delays: Vec<u16>,
        /// The recipe's text.
        recipe: String,
    },
    /// A grid or a strip as one PNG; see [`ContactSheet`]. Labels are pictures that the page has
    /// drawn.
    Sheet {
        /// Number of columns.
        columns: u32,
        /// The frames row by row; none leaves its place empty.
        frames: Vec<Option<Image>>,
        /// A label under each frame; as many as frames, or none at all.
        captions: Vec<Image>,
        /// A label above each column, or none at all.
        column_headers: Vec<Image>,
        /// A label before each row, or none at all.
        row_headers: Vec<Image>,
        /// Pixels around the sheet and between its parts.
        padding: u32,
        /// Red, green and blue of the background.
        background: [u8; 3],
        /// The recipe's text.
        recipe: String,
    },
    /// Images as PNG in one ZIP, with texts beside them.
    Archive {
        /// The images; no two have one name.
        images: Vec<ArchivedImage>,
        /// The names and contents of the texts.
        texts: Vec<(String, String)>,
    },
}

/// An image of a [`FileRequest::Archive`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArchivedImage {
    /// The name of its file.
    pub name: String,
    /// The picture.
    pub image: Image,
    /// The recipe's text.
    pub recipe: String,
    /// The `parameters` text that other programs read.
    pub parameters: String,
}

impl ArchivedImage {
    fn encode(&self) -> Result<Vec<u8>, FileError> {
        let texts = Texts {
            recipe: Some(&self.recipe),
            parameters: Some(&self.parameters),
        };
        Ok(png_file::encode(self.image.view()?, texts)?)
    }
}

impl FileRequest {
    /// The file's bytes.
    ///
    /// # Errors
    /// When frames are no pictures, don't fit together or are too large, or a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, FileError> {
        match self {
            FileRequest::Image {
                image,
                recipe,
                parameters,
            } => {
                let texts = Texts {
                    recipe: Some(recipe),
                    parameters: Some(parameters),
                };
                Ok(png_file::encode(image.view()?, texts)?)
            }
            FileRequest::Animation {
                frames,
                delays,
                recipe,
            } => {
                if delays.len() != frames.len() {
                    return Err(FileError::DelayCount {
                        delays: delays.len(),
                        frames: frames.len(),
                    });
                }
                let frames = frames
                    .iter()
                    .zip(delays)
                    .map(|(frame, delay)| {
                        Ok(apng::Frame {
                            image: frame.view()?,
                            delay_milliseconds: *delay,
                        })
                    })
                    .collect::<Result<Vec<_>, FileError>>()?;
                Ok(apng::encode(
                    &frames,
                    ENDLESSLY,
                    without_parameters(recipe),
                )?)
            }
            FileRequest::Sheet {
                columns,
                frames,
                captions,
                column_headers,
                row_headers,
                padding,
                background,
                recipe,
            } => {
                if !captions.is_empty() && captions.len() != frames.len() {
                    return Err(FileError::CaptionCount {
                        captions: captions.len(),
                        frames: frames.len(),
                    });
                }
                let captions = views(captions)?;
                let cells = frames
                    .iter()
                    .enumerate()
                    .map(|(index, frame)| {
                        Ok(Cell {
                            frame: frame.as_ref().map(Image::view).transpose()?,
                            caption: captions.get(index).copied(),
                        })
                    })
                    .collect::<Result<Vec<_>, FileError>>()?;
                let sheet = ContactSheet {
                    columns: *columns as usize,
                    cells: &cells,
                    column_headers: &views(column_headers)?,
                    row_headers: &views(row_headers)?,
                    padding: *padding,
                    background: *background,
                }
                .compose()?;
                Ok(png_file::encode(sheet.view(), without_parameters(recipe))?)
            }
            FileRequest::Archive { images, texts } => {
                let mut files = Vec::with_capacity(images.len() + texts.len());
                for image in images {
                    files.push((image.name.as_str(), image.encode()?));
                }
                for (name, text) in texts {
                    files.push((name.as_str(), text.clone().into_bytes()));
                }
                archive(files).map_err(|error| FileError::Archive {
                    reason: error.to_string(),
                })
            }
        }
    }
}

fn views(images: &[Image]) -> Result<Vec<ImageView<'_>>, ImageError> {
    images.iter().map(Image::view).collect()
}

/// The texts of a file of several pictures: they have no single prompt and seed that other programs
/// could read.
fn without_parameters(recipe: &str) -> Texts<'_> {
    Texts {
        recipe: Some(recipe),
        parameters: None,
    }
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A frame is no picture.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The PNG can't be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The animation can't be written.
    #[error(transparent)]
    Animation(#[from] ApngError),
    /// The sheet can't be put together.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// The ZIP can't be written.
    #[error("The images can't be put into one file ({reason}): save them one by one.")]
    Archive {
        /// What is wrong with it.
        reason: String,
    },
    /// Not every frame has a duration.
    #[error("{delays} durations can't belong to {frames} frames: reload the page and try again.")]
    DelayCount {
        /// Durations that were given.
        delays: usize,
        /// Frames that were given.
        frames: usize,
    },
    /// Not every frame has a caption, but some have.
    #[error("{captions} captions can't name {frames} pictures: reload the page and try again.")]
    CaptionCount {
        /// Captions that were given.
        captions: usize,
        /// Places for frames that were given.
        frames: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::find_recipe::{FoundRecipe, find_recipe};
    use crate::picture::png_text::{MAXIMUM_TEXT_BYTES, PARAMETERS_KEY};
    use crate::recipe::random::Random;

    const RECIPE: &str = r#"{"prompt":"🍎"}"#;

    fn frame(random: &mut Random, width: u32, height: u32) -> Image {
        let mut rgba = random.bytes(width as usize * height as usize * 4);
        for alpha in rgba.iter_mut().skip(3).step_by(4) {
            *alpha = 255;
        }
        Image {
            width,
            height,
            rgba,
        }
    }

    fn reader(file: &[u8]) -> png::Reader<std::io::Cursor<&[u8]>> {
        assert_eq!(
            find_recipe(file),
            Ok(FoundRecipe::Recipe(RECIPE.to_owned()))
        );
        png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap()
    }

    fn next_pixels(reader: &mut png::Reader<std::io::Cursor<&[u8]>>) -> Vec<u8> {
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    }

    #[test]
    fn a_picture_comes_back_with_its_texts() {
        let frame = frame(&mut Random(1), 5, 3);
        let request = FileRequest::Image {
            image: frame.clone(),
            recipe: RECIPE.into(),
            parameters: "apple\nSteps: 4, Seed: 7, Size: 5x3".into(),
        };
        let file = request.encode().unwrap();
        let mut reader = reader(&file);
        assert_eq!(reader.info().size(), (5, 3));
        let text = &reader.info().uncompressed_latin1_text[0];
        assert_eq!(text.keyword, PARAMETERS_KEY);
        assert_eq!(text.text, "apple\nSteps: 4, Seed: 7, Size: 5x3");
        assert_eq!(next_pixels(&mut reader), frame.rgba);
    }

    #[test]
    fn a_strip_comes_back_as_an_endless_animation() {
        let mut random = Random(2);
        let frames: Vec<Image> = (0..4).map(|_| frame(&mut random, 4, 2)).collect();
        let request = FileRequest::Animation {
            frames: frames.clone(),
            delays: vec![100, 0, 65_535, 1],
            recipe: RECIPE.into(),
        };
        let file = request.encode().unwrap();
        let mut reader = reader(&file);
        let control = reader.info().animation_control.unwrap();
        assert_eq!((control.num_frames, control.num_plays), (4, 0));
        assert!(reader.info().uncompressed_latin1_text.is_empty());
        for (frame, delay) in frames.iter().zip([100, 0, 65_535, 1]) {
            assert_eq!(next_pixels(&mut reader), frame.rgba);
            let control = reader.info().frame_control.unwrap();
            assert_eq!((control.delay_num, control.delay_den), (delay, 1000));
        }
    }

    #[test]
    fn a_grid_comes_back_as_a_sheet() {
        let mut random = Random(3);
        let first = frame(&mut random, 4, 3);
        let last = frame(&mut random, 4, 3);
        let captions: Vec<Image> = (0..4).map(|_| frame(&mut random, 2, 1)).collect();
        let request = FileRequest::Sheet {
            columns: 2,
            frames: vec![Some(first.clone()), None, None, Some(last.clone())],
            captions: captions.clone(),
            column_headers: vec![frame(&mut random, 3, 2), frame(&mut random, 3, 2)],
            row_headers: vec![frame(&mut random, 6, 2), frame(&mut random, 6, 2)],
            padding: 2,
            background: [1, 2, 3],
            recipe: RECIPE.into(),
        };
        let file = request.encode().unwrap();
        let mut reader = reader(&file);
        // Two frames, a header and the padding around each; the caption one pixel under its frame.
        assert_eq!(
            reader.info().size(),
            (2 + 6 + 2 + 4 + 2 + 4 + 2, 2 + 2 + 2 + 5 + 2 + 5 + 2)
        );
        let width = reader.info().width as usize;
        let sheet = next_pixels(&mut reader);
        let lies_at = |frame: &Image, x: usize, y: usize| {
            (0..frame.height as usize).all(|row| {
                (0..frame.width as usize).all(|column| {
                    let at = ((y + row) * width + x + column) * 3;
                    let from = (row * frame.width as usize + column) * 4;
                    sheet[at..at + 3] == frame.rgba[from..from + 3]
                })
            })
        };
        assert!(lies_at(&first, 10, 6));
        assert!(lies_at(&last, 16, 13));
        assert!(lies_at(&captions[1], 17, 10));
        assert_eq!(sheet[..3], [1, 2, 3]);
    }

    #[test]
    fn what_does_not_fit_together_is_a_sentence() {
        let mut random = Random(4);
        let small = frame(&mut random, 2, 2);
        let large = frame(&mut random, 3, 2);
        let broken = Image {
            width: 3,
            ..small.clone()
        };
        let animation = |frames: &[&Image], delays: &[u16]| FileRequest::Animation {
            frames: frames.iter().copied().cloned().collect(),
            delays: delays.to_vec(),
            recipe: RECIPE.into(),
        };
        let sheet = |frames: &[Option<&Image>], captions: &[&Image]| FileRequest::Sheet {
            columns: 2,
            frames: frames.iter().map(|frame| frame.cloned()).collect(),
            captions: captions.iter().copied().cloned().collect(),
            column_headers: vec![],
            row_headers: vec![],
            padding: 1,
            background: [0; 3],
            recipe: RECIPE.into(),
        };
        let picture = |frame: &Image, recipe: String| FileRequest::Image {
            image: frame.clone(),
            recipe,
            parameters: String::new(),
        };
        let too_long = "a".repeat(MAXIMUM_TEXT_BYTES + 1);
        let error = |request: FileRequest| request.encode().unwrap_err();
        for (error, is_expected) in [
            (
                error(picture(&broken, RECIPE.into())),
                (|error| matches!(error, FileError::Image(_))) as fn(&FileError) -> bool,
            ),
            (error(picture(&small, too_long)), |error| {
                matches!(error, FileError::Encode(_))
            }),
            (error(animation(&[&small, &broken], &[1, 1])), |error| {
                matches!(error, FileError::Image(_))
            }),
            (error(animation(&[&small, &large], &[1, 1])), |error| {
                matches!(error, FileError::Animation(_))
            }),
            (error(animation(&[], &[])), |error| {
                matches!(error, FileError::Animation(_))
            }),
            (error(animation(&[&small], &[1, 1])), |error| {
                matches!(error, FileError::DelayCount { .. })
            }),
            (error(sheet(&[None, None], &[])), |error| {
                matches!(error, FileError::Sheet(_))
            }),
            (error(sheet(&[Some(&small)], &[])), |error| {
                matches!(error, FileError::Sheet(_))
            }),
            (error(sheet(&[Some(&small), None], &[&small])), |error| {
                matches!(error, FileError::CaptionCount { .. })
            }),
            (error(sheet(&[Some(&broken), None], &[])), |error| {
                matches!(error, FileError::Image(_))
            }),
        ] {
            assert!(is_expected(&error), "{error}");
            assert!(error.to_string().ends_with('.'), "{error}");
        }
    }
}
