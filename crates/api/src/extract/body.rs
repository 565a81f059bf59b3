//! Reading a body: bounded in size and in time.

use std::error::Error as StdError;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;

use crate::limits::BODY_DISCARD_BYTES_MAX;
use crate::problem::{Code, Problem};

/// The body did not arrive in time. The listener puts this into the body's stream.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub(crate) struct TimedOut;

/// The whole body, without copying it when it arrives in one piece.
///
/// # Errors
/// [`Code::BodyTooLarge`], [`Code::RequestTimeout`], or [`Code::InvalidRequest`] when it breaks
/// off.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let announced = announced(headers);
    if announced.is_some_and(|length| length > limit) {
        discard(headers, body).await;
        return Err(too_large(limit));
    }
    let Some(first) = chunk(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() <= limit && announced == Some(first.len()) {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while whole.len() <= limit {
        match chunk(&mut body).await? {
            Some(more) => whole.extend_from_slice(&more),
            None => return Ok(whole.freeze()),
        }
    }
    discard(headers, body).await;
    Err(too_large(limit))
}

/// Reads and forgets a body that nobody wants, up to a bound. A client that sends everything
/// before it listens would otherwise find its connection reset and never read the answer.
pub(crate) async fn discard(headers: &HeaderMap, mut body: Body) {
    // Whoever asked first has not sent anything, and will not once it has the answer.
    if headers.contains_key(EXPECT) {
        return;
    }
    let mut discarded = 0;
    while discarded < BODY_DISCARD_BYTES_MAX {
        match chunk(&mut body).await {
            Ok(Some(bytes)) => discarded += bytes.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn chunk(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                // Trailers say nothing that we would listen to.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) if timed_out(&error) => {
                return Err(Problem::new(Code::RequestTimeout, TimedOut.to_string()));
            }
            Some(Err(_)) => return Err(Problem::invalid("body", "it breaks off")),
        }
    }
}

fn timed_out(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<TimedOut>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have at most {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;

    use super::*;

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> =
            sizes.iter().map(|size| Ok::<_, TimedOut>(Bytes::from(vec![b'x'; *size]))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    fn read_chunks(sizes: &[usize], limit: usize) -> Result<usize, Code> {
        let read = block_on(read(&HeaderMap::new(), chunks(sizes), limit));
        read.map(|bytes| bytes.len()).map_err(|problem| problem.code())
    }

    #[test]
    fn the_limit_is_the_last_size_that_fits() {
        assert_eq!(read_chunks(&[], 10), Ok(0));
        assert_eq!(read_chunks(&[10], 10), Ok(10));
        assert_eq!(read_chunks(&[4, 6], 10), Ok(10));
        assert_eq!(read_chunks(&[11], 10), Err(Code::BodyTooLarge));
        assert_eq!(read_chunks(&[4, 7], 10), Err(Code::BodyTooLarge));
    }

    #[test]
    fn an_announced_length_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 3.into());
        let whole = block_on(read(&headers, chunks(&[3]), 10)).unwrap();
        assert_eq!(whole.len(), 3);
        let error = block_on(read(&headers, chunks(&[4, 20]), 10)).unwrap_err();
        assert_eq!(error.code(), Code::BodyTooLarge);
        headers.insert(CONTENT_LENGTH, 11.into());
        let error = block_on(read(&headers, chunks(&[1]), 10)).unwrap_err();
        assert_eq!(error.code(), Code::BodyTooLarge);
    }

    #[test]
    fn a_late_body_and_a_broken_one_differ() {
        let late = Body::from_stream(stream::iter([Err::<Bytes, _>(TimedOut)]));
        let error = block_on(read(&HeaderMap::new(), late, 10)).unwrap_err();
        assert_eq!(error.code(), Code::RequestTimeout);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let broken = Body::from_stream(stream::iter([Err::<Bytes, _>(reset)]));
        let error = block_on(read(&HeaderMap::new(), broken, 10)).unwrap_err();
        assert_eq!((error.code(), error.field()), (Code::InvalidRequest, Some("body")));
    }
}
