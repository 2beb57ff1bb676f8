//! Frames on the connection: a length of four bytes, a kind of one byte, then JSON or a piece of content.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame: an order with the longest command, written as JSON with every byte escaped.
const FRAME_MAX: u32 = 8 << 20;
/// Bytes of content in a frame: small enough that heartbeats are not held up by it.
pub(crate) const CHUNK: usize = 64 << 10;
const JSON: u8 = 1;
const PIECE: u8 = 2;

/// What goes over the connection.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message.
    Json(Vec<u8>),
    /// A piece of an order's input or output.
    Piece { id: u64, stream: u8, bytes: Vec<u8> },
}

/// Content is not shown: it may be secret.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(text) => write!(f, "Json({} bytes)", text.len()),
            Self::Piece { id, stream, bytes } => write!(f, "Piece({id}, {stream}, {} bytes)", bytes.len()),
        }
    }
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the connection was lost")]
    Io(#[from] std::io::Error),
    #[error("the other side sent a frame of {0} bytes, which is above the limit")]
    TooLong(u32),
    #[error("the other side sent a frame that cannot be read")]
    Malformed,
    #[error("the other side sent a message that cannot be read")]
    Message(#[from] serde_json::Error),
}

impl Frame {
    /// A message as a frame.
    pub(crate) fn message(message: &impl Serialize) -> Self {
        Self::Json(serde_json::to_vec(message).unwrap_or_default())
    }
}

/// Reads the next frame; `None` when the other side closed the connection between two.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, FrameError> {
    let mut head = [0; 4];
    match from.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let len = u32::from_be_bytes(head);
    if len > FRAME_MAX {
        return Err(FrameError::TooLong(len));
    }
    let mut body = vec![0; len as usize];
    from.read_exact(&mut body).await?;
    match body.split_first() {
        Some((&JSON, message)) => Ok(Some(Frame::Json(message.to_vec()))),
        Some((&PIECE, rest)) if rest.len() >= 9 => {
            let (id, rest) = rest.split_at(8);
            let id = u64::from_be_bytes(id.try_into().map_err(|_| FrameError::Malformed)?);
            Ok(Some(Frame::Piece { id, stream: rest[0], bytes: rest[1..].to_vec() }))
        }
        _ => Err(FrameError::Malformed),
    }
}

/// Reads the next frame, which must be a message.
pub(crate) async fn read_message<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, FrameError> {
    match read(from).await? {
        Some(Frame::Json(text)) => Ok(Some(serde_json::from_slice(&text)?)),
        Some(Frame::Piece { .. }) => Err(FrameError::Malformed),
        None => Ok(None),
    }
}

/// Writes a frame and sends it off.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> Result<(), FrameError> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&[0; 4]);
    match frame {
        Frame::Json(message) => {
            bytes.push(JSON);
            bytes.extend_from_slice(message);
        }
        Frame::Piece { id, stream, bytes: piece } => {
            bytes.push(PIECE);
            bytes.extend_from_slice(&id.to_be_bytes());
            bytes.push(*stream);
            bytes.extend_from_slice(piece);
        }
    }
    let len = u32::try_from(bytes.len() - 4).ok().filter(|len| *len <= FRAME_MAX).ok_or(FrameError::Malformed)?;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    to.write_all(&bytes).await?;
    to.flush().await?;
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
