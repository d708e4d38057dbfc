#include "receiver/cache/table.hpp"

#include <algorithm>
#include <new>
#include <span>

#include "base/random.hpp"
#include "receiver/cache/look.hpp"
#include "receiver/cache/slots.hpp"

namespace mission::receiver {

using ms::standing;

namespace {

constexpr std::size_t looked_at = 32;  // by least_used: each may cost a look at disk

table_seed random_seed() noexcept {
    table_seed s;
    system_random().fill(std::as_writable_bytes(std::span(s.word)));
    return s;
}

}  // namespace

mission_table::mission_table(std::size_t max_missions)
    : mission_table(max_missions, random_seed()) {}

mission_table::mission_table(std::size_t max_missions, const table_seed& seed)
    : max_(max_missions), seed_(seed) {
    open();
}

mission_table::~mission_table() = default;

inline std::uint32_t mission_table::issuer_number(std::string_view issuer) const noexcept {
    const auto count = issuer_count_.load(std::memory_order_acquire);
    for (std::uint32_t i = 1; i <= count; ++i)
        if (issuers_[i] == issuer) return i;
    return 0;
}

std::uint32_t mission_table::add_issuer(std::string_view issuer) {
    if (const auto known = issuer_number(issuer)) return known;
    const auto next = issuer_count_.load(std::memory_order_relaxed) + 1;
    if (next > max_issuers) return 0;
    issuers_[next] = issuer;
    issuer_count_.store(next, std::memory_order_release);
    return next;
}

mission_table::found mission_table::lookup(std::string_view issuer,
                                           std::string_view id) const noexcept {
    found out;
    const auto number = issuer_number(issuer);
    if (number == 0 || !key_words::fits(id)) return out;
    key_words key(id);
    const auto hash = key.hash(seed_);
    key.of(number);
    const auto all = [](const published&) { return true; };
    while (look(*lines_.load(std::memory_order_acquire), key, hash, all, out) == outcome::again) {
    }
    return out;
}

ms::answer mission_table::check(std::string_view issuer, std::string_view id,
                                instant now) const noexcept {
    if (!key_words::fits(id)) return {};
    key_words key(id);
    const auto hash = key.hash(seed_);
    lines_.load(std::memory_order_acquire)->fetch(hash);
    const auto number = issuer_number(issuer);
    if (number == 0) return {};
    key.of(number);
    for (;;) {
        // Read before the mission, and the same after it: both were so at one moment.
        const auto before = stream_.sequence.load(std::memory_order_acquire);
        const auto stream = stream_.load();
        const bool live = !stream.live_until.passed(now);
        const auto own = [&](const published& p) {
            return p.told == standing::active &&
                   !(live && p.freshness.confirmed_epoch == stream.epoch);
        };
        found known;
        const auto s = look(*lines_.load(std::memory_order_acquire), key, hash, own, known);
        if (s == outcome::absent) return {};
        if (s == outcome::again || !stream_.still(before)) continue;
        known.in->line(known.at).use(now.wall);
        return judge(known.p, stream, now);
    }
}

void mission_table::insert(const key_words& key, const published& p, std::uint32_t used) {
    make_room();
    prepare();
    const auto* far = key.is_long() ? long_ids_.store(key) : nullptr;
    auto& in = *arrays_.back();
    const auto hash = key.hash(seed_);
    const auto at = in.free_from(in.home(hash));
    in.line(at).become(in.own(at), key, hash, far, p, used);
    size_.fetch_add(1, std::memory_order_relaxed);
}

bool mission_table::takes(std::string_view id, const published& told) const noexcept {
    return key_words::fits(id) && told.version >= 0 && size() < max_;
}

bool mission_table::put(std::string_view issuer, std::string_view id, const published& told,
                        std::uint32_t used) noexcept {
    if (!key_words::fits(id) || told.version < 0) return false;
    // A denial is shown whatever its number: only the number is cut.
    auto p = told;
    p.version = std::min(p.version, version_max);
    if (const auto known = lookup(issuer, id); known.in != nullptr) {
        known.in->line(known.at).write(known.in->own(known.at), p);
        return true;
    }
    if (!takes(id, told)) return false;
    try {
        key_words key(id);
        const auto number = add_issuer(issuer);
        if (number == 0) return false;
        key.of(number);
        insert(key, p, used);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

// Those behind it come nearer to their home, so that nothing is left that everybody has to pass.
void mission_table::remove(std::size_t at) noexcept {
    auto& in = *arrays_.back();
    const auto* far = in.line(at).far();
    const auto what = in.line(at).what();
    auto hole = at;
    for (auto i = in.next(at); in.line(i).what() != 0; i = in.next(i)) {
        const auto home = in.home(in.line(i).hash(seed_));
        if (in.way(home, i) < in.way(hole, i)) continue;  // it would come before its home
        in.move(i, hole);
        hole = i;
    }
    in.line(hole).clear();
    if (key_words::is_long(what)) long_ids_.forget(far, key_words::words_of(what));
    size_.fetch_sub(1, std::memory_order_relaxed);
    give_up_next();
}

bool mission_table::erase(std::string_view issuer, std::string_view id) noexcept {
    const auto known = lookup(issuer, id);
    if (known.in != nullptr) remove(known.at);
    return known.in != nullptr;
}

void mission_table::keep_only(
    const std::function<bool(std::string_view issuer, std::string_view id)>& keep) {
    const auto& in = *arrays_.back();
    key_words key;
    published p;
    for (std::size_t i = 0; i < in.size();) {
        const bool some = in.line(i).read_all(in.own(i), key, p);
        if (some && !keep(issuers_[key.issuer()], key.id())) {
            remove(i);  // another one may be here now
        } else {
            ++i;
        }
    }
}

std::optional<mission_table::name> mission_table::least_used(
    const std::function<bool(std::string_view issuer, std::string_view id)>& spare) {
    const auto& in = *arrays_.back();
    std::optional<name> out;
    std::pair<bool, std::uint32_t> best;  // not ended, last used: the smallest goes
    std::size_t seen = 0;
    key_words key;
    published p;
    for (std::size_t n = 0; n < in.size() && seen < looked_at; ++n) {
        hand_ = in.next(hand_);
        const auto& line = in.line(hand_);
        if (!line.read_all(in.own(hand_), key, p)) continue;
        ++seen;
        const std::pair rank{!ms::is_terminal(p.told), line.last_used()};
        if (out && rank >= best) continue;
        const auto& issuer = issuers_[key.issuer()];
        if (spare(issuer, key.id())) continue;
        best = rank;
        out = name{issuer, std::string(key.id())};
    }
    return out;
}

std::optional<published> mission_table::find(std::string_view issuer,
                                             std::string_view id) const noexcept {
    const auto known = lookup(issuer, id);
    return known.in != nullptr ? std::optional(known.p) : std::nullopt;
}

std::uint32_t mission_table::last_used(std::string_view issuer,
                                       std::string_view id) const noexcept {
    const auto known = lookup(issuer, id);
    if (known.in == nullptr) return 0;
    const auto& line = known.in->line(known.at);
    return line.checked() ? line.last_used() : 0;
}

std::vector<mission_table::name> mission_table::unconfirmed(std::size_t most) const {
    struct candidate {
        std::uint32_t used;
        key_words key;
    };
    const auto later = [](const candidate& a, const candidate& b) { return a.used > b.used; };
    std::vector<candidate> heap;  // the one used longest ago in front
    const auto epoch = stream().epoch;
    const line_array* in = nullptr;
    std::uint32_t crossings = 0;
    // From the end, as missions are moved towards the beginning: none escapes, but one from the
    // first lines to the last ones. Then, as when the array was replaced, all is to be seen anew.
    const auto whole = [&] {
        return lines_.load(std::memory_order_acquire) == in && in->crossings() == crossings;
    };
    for (std::size_t left = 0; most > 0; --left) {
        if (in == nullptr || !whole()) {
            in = lines_.load(std::memory_order_acquire);
            crossings = in->crossings();
            left = in->size();
            heap.clear();
        }
        if (left == 0) break;
        const auto& line = in->line(left - 1);
        const auto used = line.last_used();
        if (line.what() == 0 || !line.checked()) continue;
        if (heap.size() == most && used <= heap.front().used) continue;
        candidate c;
        published p;
        if (!line.read_all(in->own(left - 1), c.key, p)) continue;
        if (ms::is_terminal(p.told) || p.freshness.confirmed_epoch == epoch) continue;
        c.used = used;
        if (heap.size() == most) {
            std::pop_heap(heap.begin(), heap.end(), later);
            heap.pop_back();
        }
        heap.push_back(c);
        std::push_heap(heap.begin(), heap.end(), later);
    }
    std::sort_heap(heap.begin(), heap.end(), later);
    std::vector<name> out;
    out.reserve(heap.size());
    for (const auto& c : heap)
        out.push_back({issuers_[c.key.issuer()], std::string(c.key.id())});
    return out;
}

std::size_t mission_table::memory() const noexcept {
    auto octets = long_ids_.memory() + (next_ ? next_->touched() : 0);
    for (const auto& a : arrays_)
        octets += a->memory();
    return octets;
}

void mission_table::set_stream(const stream_word& w) noexcept {
    const auto s = stream_.sequence.load(std::memory_order_relaxed);
    stream_.sequence.store(s + 1, std::memory_order_relaxed);
    stream_.live_wall.store(w.live_until.wall, std::memory_order_release);
    stream_.live_mono.store(w.live_until.mono, std::memory_order_release);
    stream_.epoch.store(w.epoch, std::memory_order_release);
    stream_.sequence.store(s + 2, std::memory_order_release);
}

stream_word mission_table::stream() const noexcept {
    for (;;) {
        const auto before = stream_.sequence.load(std::memory_order_acquire);
        const auto w = stream_.load();
        if (stream_.still(before)) return w;
    }
}

}  // namespace mission::receiver
