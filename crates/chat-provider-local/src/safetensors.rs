//! Reads a safetensors file tensor by tensor: a length, a JSON table of places, and plain floats.
//!
//! Promises: every place is checked against the file before it is read; a damaged, truncated or
//! foreign file is a `WeightsInvalid` error that names the path, never a panic. The peak is one
//! tensor beyond what is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::LocalError;

/// The longest table of places; that of a model with 100 tensors has 10 KiB.
const TABLE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of the number before the table.
const LENGTH_BYTES: u64 = 8;

#[derive(Debug, Deserialize)]
struct Place {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// An open file and its table.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    places: BTreeMap<String, Place>,
    data_start: u64,
    length_bytes: u64,
}

impl TensorFile {
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let unreadable = |error| LocalError::weights_unreadable(path, error);
        let invalid = |finding: &str| LocalError::weights_invalid(path, finding);
        let mut file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                LocalError::weights_missing(&path.display().to_string())
            }
            _ => unreadable(error),
        })?;
        let length_bytes = file.metadata().map_err(unreadable)?.len();
        let mut length = [0_u8; 8];
        file.read_exact(&mut length).map_err(|_| invalid("it is cut short"))?;
        let table_bytes = u64::from_le_bytes(length);
        if table_bytes > TABLE_BYTES_MAX || table_bytes.saturating_add(LENGTH_BYTES) > length_bytes
        {
            return Err(invalid("it does not start like a safetensors file"));
        }
        let mut table = Vec::new();
        file.by_ref().take(table_bytes).read_to_end(&mut table).map_err(unreadable)?;
        let mut table: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&table)
            .map_err(|error| invalid("its table cannot be read").with_source(error))?;
        table.remove("__metadata__");
        let mut places = BTreeMap::new();
        for (name, place) in table {
            let place = serde_json::from_value(place)
                .map_err(|error| invalid("its table cannot be read").with_source(error))?;
            places.insert(name, place);
        }
        let data_start = LENGTH_BYTES.saturating_add(table_bytes);
        Ok(Self { path: path.to_path_buf(), file, places, data_start, length_bytes })
    }

    /// The floats of a tensor of this shape, row by row.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LocalError> {
        let place =
            self.places.get(name).ok_or_else(|| self.invalid(&format!("it has no {name}")))?;
        let expected = shape.iter().fold(4_u64, |bytes, size| {
            bytes.saturating_mul(u64::try_from(*size).unwrap_or(u64::MAX))
        });
        let (first, end) = place.data_offsets;
        let is_sound = place.dtype == "F32"
            && place.shape == shape
            && end.checked_sub(first) == Some(expected)
            && self.data_start.saturating_add(end) <= self.length_bytes;
        if !is_sound {
            return Err(self.invalid(&format!("{name} is not what this model has there")));
        }
        let start = self.data_start.saturating_add(first);
        let unreadable = |error| LocalError::weights_unreadable(&self.path, error);
        self.file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        self.file.by_ref().take(expected).read_to_end(&mut bytes).map_err(unreadable)?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || u64::try_from(bytes.len()).unwrap_or(0) != expected {
            return Err(self.invalid("it is cut short"));
        }
        let floats: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if floats.iter().any(|value| !value.is_finite()) {
            return Err(self.invalid(&format!("{name} has numbers that are none")));
        }
        Ok(floats)
    }

    pub(crate) fn invalid(&self, finding: &str) -> LocalError {
        LocalError::weights_invalid(&self.path, finding)
    }
}
