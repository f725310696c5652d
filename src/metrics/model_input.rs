//! How a picture is made ready for a network that measures it: size, part and scale, as the network's authors
//! do it.

use serde::{Deserialize, Serialize};

use crate::picture::image::ImageView;
use crate::picture::resample::Rgb;

/// How a picture is brought to a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Both sides are resized to the square's: DreamSim.
    Stretch,
    /// The shorter side is resized to the square's, and the middle of the longer one is taken: CLIP.
    Crop,
}

/// What a network is given of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInput {
    /// The square's side in pixels.
    pub side: usize,
    /// How it is reached.
    pub fit: Fit,
    /// Of each channel: what is subtracted from values between 0 and 1.
    pub mean: [f32; 3],
    /// Of each channel: what the rest is divided by.
    pub deviation: [f32; 3],
}

impl ModelInput {
    /// The picture's pixels in that size, as bytes.
    pub fn square(&self, picture: ImageView<'_>) -> Rgb {
        let rgb = Rgb::of(picture);
        match self.fit {
            Fit::Stretch => rgb.resized(self.side, self.side),
            Fit::Crop => {
                let (width, height) = (rgb.width, rgb.height);
                let shorter = width.min(height).max(1);
                // As torchvision: the longer side's rest is cut off.
                let resized = |side: usize| self.side * side / shorter;
                rgb.resized(resized(width), resized(height))
                    .centre_cropped(self.side, self.side)
            }
        }
    }

    /// The values that the network takes.
    ///
    /// # Shapes
    /// `[side, side, 3]`
    pub fn values(&self, picture: ImageView<'_>) -> Vec<f32> {
        let square = self.square(picture);
        let pixels = square.pixels.chunks_exact(3);
        pixels
            .flat_map(|pixel| {
                [0, 1, 2].map(|channel| {
                    let value = f32::from(pixel[channel]) / 255.0;
                    (value - self.mean[channel]) / self.deviation[channel]
                })
            })
            .collect()
    }
}
