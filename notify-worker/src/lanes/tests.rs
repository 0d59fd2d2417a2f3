use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn key(channel: usize) -> Key {
    (TenantId::new("acme").unwrap(), ChannelId::new(format!("c{channel}")).unwrap())
}

/// Takes as many places as there are.
fn fill(lanes: &Lanes, key: &Key, now: Instant) -> usize {
    std::iter::repeat_with(|| lanes.take(key, now)).take_while(|taken| *taken).count()
}

#[tokio::test]
async fn a_slow_channel_keeps_few_places_and_a_quick_one_earns_many() {
    let lanes = Lanes::new(4, 64);
    let start = Instant::now();
    let ms = |n| start + Duration::from_millis(n);
    // Of two tenants: within one, both share what a tenant may have.
    let (quick, slow) = (key(0), (TenantId::new("other").unwrap(), ChannelId::new("c1").unwrap()));
    assert_eq!((fill(&lanes, &quick, start), fill(&lanes, &slow, start)), (4, 4));
    // Each that ends quickly gives its place back and one more.
    for n in 0..4 {
        lanes.leave(&quick, start, ms(n));
    }
    assert_eq!(fill(&lanes, &quick, ms(10)), 8);
    for round in 1..10 {
        for _ in 0..8 {
            lanes.leave(&quick, ms(round * 100), ms(round * 100 + 5));
        }
        while lanes.take(&quick, ms(round * 100 + 6)) {}
    }
    let held = lanes.held().lanes[&quick].under_way;
    assert_eq!(held, 48, "three quarters of all at most");
    // The slow one has ended nothing: it stays where it began, and one slow end changes nothing.
    assert!(!lanes.take(&slow, ms(9_000)));
    lanes.leave(&slow, start, ms(10_000));
    assert_eq!(fill(&lanes, &slow, ms(10_000)), 1);
    // The quick one hangs: what is under way stays, but there is nothing more for it until it is down to the few.
    for n in 0..44 {
        assert!(!lanes.take(&quick, ms(20_000)), "{n} given back");
        lanes.leave(&quick, ms(1_000), ms(20_000));
    }
    assert_eq!(lanes.held().lanes[&quick].under_way, 4);
    assert!(!lanes.take(&quick, ms(20_000)));
}

#[tokio::test]
async fn turns_in_a_line_come_at_the_pace_of_the_channel_and_within_a_bound() {
    let lanes = Lanes::new(4, 64);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let line = |now| lanes.turn(&key(0), now).as_micros();
    // Nothing is known: five milliseconds for an attempt, four at a time.
    assert_eq!([line(start), line(start), line(start)], [1_250, 2_500, 3_750]);
    fill(&lanes, &key(0), start);
    // Two seconds without an end: an attempt takes two seconds or longer, so every half second there is a place.
    assert_eq!([line(at(2)), line(at(2))], [500_000, 1_000_000]);
    for _ in 0..100 {
        line(at(2));
    }
    assert_eq!(line(at(2)), LONGEST_WAIT.as_micros());
}

/// Channels with attempts of given lengths, driven in time: never more under way than allowed, every place comes back,
/// and what leaves a lane empty leaves it usable.
#[test]
fn places_are_never_lost_or_invented() {
    let attempt = (0..3_usize, 0..3_000_u64, 0..200_u64);
    proptest!(|(per_channel in 1..8_usize, concurrency in 1..40_usize, attempts in prop::collection::vec(attempt, 1..300))| {
        let lanes = Lanes::new(per_channel, concurrency);
        let most = (concurrency - concurrency / 4).max(1);
        let start = Instant::now();
        let mut now = 0;
        let mut flying: VecDeque<(u64, u64, usize)> = VecDeque::new();
        let mut model = [0_usize; 3];
        for (channel, length, gap) in attempts {
            now += gap;
            let (ended, rest): (Vec<_>, Vec<_>) = flying.into_iter().partition(|(ends, _, _)| *ends <= now);
            flying = rest.into();
            for (ends, began, channel) in ended {
                let at = |ms| start + Duration::from_millis(ms);
                lanes.leave(&key(channel), at(began), at(ends));
                model[channel] -= 1;
            }
            let taken = lanes.take(&key(channel), start + Duration::from_millis(now));
            let of_tenant: usize = model.iter().sum();
            let full = model[channel] >= per_channel.min(most) || of_tenant >= most;
            prop_assert!(taken || full, "an idle channel of a tenant with room has places");
            if taken {
                model[channel] += 1;
                flying.push_back((now + length, now, channel));
            }
            prop_assert!(model.iter().sum::<usize>() <= most, "a tenant never has all places");
            prop_assert_eq!(lanes.held().lanes[&key(channel)].under_way, model[channel]);
        }
    });
}
