//! Audio: its duration, counted over the packets; nothing is decoded and no header is believed.

use std::io::Cursor;

use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::Duration;

use crate::error::ExtractError;
use crate::extracted::Extracted;
use crate::kind::FileKind;
use crate::limits::ExtractLimits;

pub(super) fn read(bytes: Vec<u8>, limits: &ExtractLimits) -> Result<Extracted, ExtractError> {
    let stream =
        MediaSourceStream::new(Box::new(Cursor::new(bytes)), MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(ExtractError::damaged)?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| ExtractError::damaged("it holds no audio"))?;
    let id = track.id;
    let time_base = track
        .time_base
        .ok_or_else(|| ExtractError::damaged("it does not say how fast it plays"))?;
    let mut ticks = 0_u64;
    let mut is_cut = false;
    loop {
        match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == id => {
                ticks = ticks.saturating_add(packet.dur.get());
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => {
                is_cut = true;
                break;
            }
        }
    }
    let duration = time_base.calc_duration_saturating(Duration::from(ticks)).as_millis();
    let duration_ms = u64::try_from(duration).unwrap_or(u64::MAX);
    if ticks == 0 || duration_ms > limits.duration_ms_max {
        return Err(ExtractError::damaged("its duration makes no sense"));
    }
    let mut read = Extracted { duration_ms: Some(duration_ms), ..Extracted::of(FileKind::Audio) };
    if is_cut {
        read.notes.push("the audio breaks off; its duration is of what is there".to_owned());
    }
    Ok(read)
}
