//! Images: their size, and what is sent of them.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::error::{ImageError, LimitErrorKind};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgba};

use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::{Extracted, PreparedImage};
use crate::kind::FileKind;
use crate::limits::{ExtractLimits, ImageBounds};

/// JPEG qualities, tried in order until the image fits; below the last, text in it is lost.
const QUALITIES: [u8; 3] = [85, 70, 55];

/// How often an image that does not fit is halved: a 2,048-pixel image is then 128 pixels.
const HALVINGS_MAX: u32 = 4;

/// Above this, a first pass by averages saves the memory of the fine one.
const COARSE_FIRST_PIXELS: u64 = 16_000_000;

pub(super) fn facts(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted, ExtractError> {
    let (mut decoder, _) = open(bytes, limits)?;
    let (width, height) = decoder.dimensions();
    let is_turned = matches!(
        decoder.orientation().unwrap_or(Orientation::NoTransforms),
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (width, height) = if is_turned { (height, width) } else { (width, height) };
    let facts = Extracted::of(FileKind::Image);
    Ok(Extracted { width_px: Some(width), height_px: Some(height), ..facts })
}

pub(super) fn prepare(
    bytes: &[u8],
    bounds: &ImageBounds,
    limits: &ExtractLimits,
) -> Result<PreparedImage, ExtractError> {
    let (mut decoder, format) = open(bytes, limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    image.apply_orientation(orientation);
    let mut image = scale(image, bounds.side_px_max.max(1));
    // Drawings and screenshots keep their edges as PNG; photos are smaller as JPEG.
    let is_drawn = matches!(format, ImageFormat::Png | ImageFormat::Gif | ImageFormat::Bmp);
    let is_clear = is_transparent(&image);
    if is_drawn || is_clear {
        let encoded = png(&image)?;
        if fits(&encoded, bounds) {
            return Ok(prepared("image/png", &image, encoded));
        }
    }
    if is_clear {
        flatten(&mut image);
    }
    for _ in 0..=HALVINGS_MAX {
        let plain = DynamicImage::ImageRgb8(image.to_rgb8());
        for quality in QUALITIES {
            let encoded = jpeg(&plain, quality)?;
            if fits(&encoded, bounds) {
                return Ok(prepared("image/jpeg", &plain, encoded));
            }
        }
        let side = image.width().max(image.height()) / 2;
        image = scale(image, side.max(1));
    }
    let sentence = "the image cannot be made small enough to be sent";
    Err(ExtractError::refused(ExtractErrorKind::TooLarge, sentence))
}

/// Reads the header only.
fn open<'b>(
    bytes: &'b [u8],
    limits: &ExtractLimits,
) -> Result<(impl ImageDecoder + use<'b>, ImageFormat), ExtractError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(ExtractError::damaged)?;
    let format = reader.format().ok_or_else(|| ExtractError::damaged("it is no known image"))?;
    let mut decoding = image::Limits::default();
    decoding.max_alloc = Some(limits.memory_bytes_max);
    reader.limits(decoding);
    let decoder = reader.into_decoder().map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width).saturating_mul(u64::from(height)) > limits.pixels_max {
        let sentence = format!(
            "the image is too large: {width} × {height} pixels, and at most {} million are taken",
            limits.pixels_max / 1_000_000
        );
        return Err(ExtractError::refused(ExtractErrorKind::TooLarge, sentence));
    }
    Ok((decoder, format))
}

fn scale(image: DynamicImage, side_px_max: u32) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    if width.max(height) <= side_px_max {
        return image;
    }
    let pixels = u64::from(width).saturating_mul(u64::from(height));
    let coarse_side = side_px_max.saturating_mul(2);
    let image = if pixels > COARSE_FIRST_PIXELS && width.max(height) > coarse_side {
        image.thumbnail(coarse_side, coarse_side)
    } else {
        image
    };
    image.resize(side_px_max, side_px_max, FilterType::CatmullRom)
}

fn is_transparent(image: &DynamicImage) -> bool {
    image.color().has_alpha()
        && image.to_rgba8().pixels().any(|Rgba([_, _, _, alpha])| *alpha < 255)
}

/// On white, as a page is.
fn flatten(image: &mut DynamicImage) {
    let mut flat = image.to_rgba8();
    for Rgba([red, green, blue, alpha]) in flat.pixels_mut() {
        let opacity = u16::from(*alpha);
        for channel in [red, green, blue] {
            let mixed = (u16::from(*channel) * opacity + 255 * (255 - opacity)) / 255;
            *channel = u8::try_from(mixed).unwrap_or(u8::MAX);
        }
        *alpha = 255;
    }
    *image = DynamicImage::ImageRgba8(flat);
}

fn png(image: &DynamicImage) -> Result<Vec<u8>, ExtractError> {
    // Vendors take 8 bits per channel.
    let image = if image.color().has_alpha() {
        DynamicImage::ImageRgba8(image.to_rgba8())
    } else {
        DynamicImage::ImageRgb8(image.to_rgb8())
    };
    let mut encoded = Vec::new();
    image.write_to(&mut Cursor::new(&mut encoded), ImageFormat::Png).map_err(refusal)?;
    Ok(encoded)
}

fn jpeg(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, ExtractError> {
    let mut encoded = Vec::new();
    image
        .write_with_encoder(JpegEncoder::new_with_quality(&mut encoded, quality))
        .map_err(refusal)?;
    Ok(encoded)
}

fn fits(encoded: &[u8], bounds: &ImageBounds) -> bool {
    u64::try_from(encoded.len()).is_ok_and(|size| size <= bounds.bytes_max)
}

fn prepared(media_type: &str, image: &DynamicImage, encoded: Vec<u8>) -> PreparedImage {
    PreparedImage {
        media_type: media_type.to_owned(),
        width_px: image.width(),
        height_px: image.height(),
        bytes: encoded.into(),
    }
}

fn refusal(error: ImageError) -> ExtractError {
    match &error {
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::InsufficientMemory) => {
            let sentence = "decoding the image takes more memory than a file is given";
            ExtractError::refused(ExtractErrorKind::UsedTooMuchMemory, sentence)
        }
        ImageError::Limits(_) => {
            let sentence = "the image has more pixels than are taken";
            ExtractError::refused(ExtractErrorKind::TooLarge, sentence)
        }
        _ => ExtractError::damaged(error),
    }
}
