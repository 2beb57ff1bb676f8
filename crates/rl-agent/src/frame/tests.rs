#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn frame() -> impl Strategy<Value = Frame> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..2_000);
    prop_oneof![
        bytes().prop_map(Frame::Json),
        (any::<u64>(), any::<u8>(), bytes()).prop_map(|(id, stream, bytes)| Frame::Piece { id, stream, bytes }),
    ]
}

proptest! {
    /// Frames come out as they went in, one after the other; then the end.
    #[test]
    fn frames_come_back(frames in prop::collection::vec(frame(), 0..5)) {
        block(async {
            let mut wire = Vec::new();
            for frame in &frames {
                write(&mut wire, frame).await.unwrap();
            }
            let mut from = wire.as_slice();
            for frame in &frames {
                assert!(read(&mut from).await.unwrap().as_ref() == Some(frame));
            }
            assert!(read(&mut from).await.unwrap().is_none());
        });
    }

    /// Whatever a stranger sends, reading ends: with a frame, an error or the end, never with a panic or gigabytes.
    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        block(async {
            let mut from = noise.as_slice();
            while let Ok(Some(_)) = read(&mut from).await {}
        });
    }
}

#[test]
fn a_frame_above_the_limit_is_not_read() {
    let head = (FRAME_MAX + 1).to_be_bytes();
    assert!(matches!(block(read(&mut head.as_slice())), Err(FrameError::TooLong(_))));
}
