//! One question to many sandboxes, of which only so many are under way: an engine with thousands is not to be asked of all
//! in one moment. Every such question goes through here; the lints refuse the ways without a bound.

use std::vec::IntoIter;

use futures_util::stream::{Buffered, Collect, Iter};
use futures_util::{StreamExt as _, stream};

/// How many are under way at one time. An engine that is asked for more does none of it sooner.
const AT_ONCE: usize = 16;

/// The answers to some questions.
pub type Answers<F> = Collect<Buffered<Iter<IntoIter<F>>>, Vec<<F as Future>::Output>>;

/// Awaits all of them, 16 at a time; the answers are in the order of the questions.
#[expect(clippy::disallowed_methods, reason = "the one place with the bound")]
pub fn in_order<F: Future>(asked: impl IntoIterator<Item = F>) -> Answers<F> {
    // The questions alone are kept: what makes them can seldom be sent to another thread.
    let asked: Vec<F> = asked.into_iter().collect();
    stream::iter(asked).buffered(AT_ONCE).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn so_many_are_under_way_and_no_more_and_their_order_stays() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let (now, most) = (&now, &most);
        let asked = (0_usize..200).map(|number| async move {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            // Later ones are quicker.
            for _ in 0..=(200 - number) % 7 {
                tokio::task::yield_now().await;
            }
            now.set(now.get() - 1);
            number
        });
        let answers = in_order(asked).await;
        assert_eq!(answers, (0..200).collect::<Vec<_>>());
        assert_eq!(most.get(), AT_ONCE);
    }
}
