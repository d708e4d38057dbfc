#include "receiver/cache/table.hpp"

#include <algorithm>
#include <limits>
#include <new>

#include "base/random.hpp"
#include "receiver/cache/slots.hpp"

namespace mission::receiver {

using ms::standing;

ms::answer judge(const published& p, const stream_word& stream, instant now) noexcept {
    ms::answer a;
    a.what = p.told;
    a.version = p.version;
    if (p.told != standing::active) return a;
    // The receiver's own clock may deny an ended mission; it never tears down.
    if (p.expires_wall != 0 && now.wall >= p.expires_wall) {
        a.what = standing::expired;
    } else if (!is_fresh(p.freshness, stream, now)) {
        a.what = standing::stale;
    }
    return a;
}

namespace {

constexpr std::size_t first_slots = 1024;
constexpr std::size_t largest_entry = sizeof(table_entry) + id_words_max * id_word_octets;
static_assert(largest_entry % slot_array::step == 0);
constexpr std::size_t looked_at = 32;  // by least_used: each may cost a look at memory and disk

// No more than slots can tell apart: of the longest ids that there are, 24 million.
std::size_t octets_for(std::size_t missions) noexcept {
    constexpr auto most = slot_array::places * slot_array::step;
    const auto first = 2 * slot_array::step;
    return missions >= (most - first) / largest_entry ? most : first + missions * largest_entry;
}

bool has_form(std::string_view id, const published& p) noexcept {
    return !id.empty() && id.size() <= id_words_max * id_word_octets && p.version >= 0;
}

}  // namespace

mission_table::mission_table(std::size_t max_missions)
    : max_(max_missions),
      seed_(system_random().below(std::numeric_limits<std::uint64_t>::max())),
      entries_(octets_for(max_missions)),
      entries_used_(2 * slot_array::step) {
    arrays_.push_back(std::make_unique<slot_array>(first_slots));
    current_ = arrays_.back().get();
    slots_.store(current_, std::memory_order_release);
}

mission_table::~mission_table() {
    static_assert(entry_step == slot_array::step);
}

std::uint32_t mission_table::issuer_number(std::string_view issuer) const noexcept {
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
    if (number == 0 || id.empty() || id.size() > id_words_max * id_word_octets) return out;
    const key_words key(number, id);
    const auto hash = key.hash(seed_);
    for (;;) {
        const auto* array = slots_.load(std::memory_order_acquire);
        const auto generation = array->generation();
        if ((generation & 1) != 0) continue;  // another one is in use by now
        for (auto i = array->home(hash);; i = array->next(i)) {
            const auto slot = array->load(i);
            if (slot == slot_array::empty) break;
            if (!slot_array::tag_is(slot, hash)) continue;
            auto* e = entry_at(slot_array::place(slot));
            if (e == nullptr || !e->read(key, out.p)) continue;
            out.at = e;
            return out;
        }
        // Not there; unless the array was retired under our eyes.
        if (array->generation() == generation) return out;
    }
}

// Another array when more than half of this one is in use: a larger one, or, when it is the gone
// that fill it, one of the same size.
void mission_table::make_room() {
    auto* old = current_;
    if ((used_slots_ + 1) * 2 <= old->size()) return;
    const bool larger = (size() + 1) * 8 > old->size() * 3;
    slot_array* next = larger ? nullptr : spare_;
    if (next == nullptr) {
        arrays_.push_back(std::make_unique<slot_array>(old->size() * (larger ? 2 : 1)));
        next = arrays_.back().get();
    }
    used_slots_ = 0;
    for (std::size_t i = 0; i < old->size(); ++i) {
        const auto place = slot_array::place(old->load(i));
        const auto* e = entry_at(place);
        key_words key;
        published p;
        if (e == nullptr || !e->read_all(key, p)) continue;
        const auto hash = key.hash(seed_);
        auto to = next->home(hash);
        while (next->load(to) != slot_array::empty)
            to = next->next(to);
        next->store(to, slot_array::pack(place, hash));
        ++used_slots_;
    }
    if (next->retired()) next->revive();
    current_ = next;
    hand_ = 0;
    slots_.store(next, std::memory_order_release);
    old->retire();
    spare_ = larger ? nullptr : old;
}

table_entry* mission_table::entry_for(const key_words& key) {
    if (auto* e = free_[key.words]; e != nullptr) {
        free_[key.words] = e->next_free();
        return e;
    }
    constexpr auto step = slot_array::step;
    const auto need = (sizeof(table_entry) + key.words * id_word_octets + step - 1) / step * step;
    if (entries_used_ + need > entries_.size()) throw std::bad_alloc();
    auto* e = new (entries_.data() + entries_used_) table_entry;
    for (std::size_t i = 0; i < key.words; ++i)
        new (e->id() + i) std::atomic<std::uint64_t>(0);
    entries_used_ += need;
    return e;
}

bool mission_table::insert(std::string_view issuer, std::string_view id, const published& p,
                           std::uint32_t used) {
    const auto number = add_issuer(issuer);
    if (number == 0) return false;
    make_room();
    const key_words key(number, id);
    const auto hash = key.hash(seed_);
    auto* e = entry_for(key);
    e->become(key, p, used);
    for (auto i = current_->home(hash);; i = current_->next(i)) {
        const auto slot = current_->load(i);
        if (slot != slot_array::empty && slot != slot_array::gone) continue;
        if (slot == slot_array::empty) ++used_slots_;
        current_->store(i, slot_array::pack(place_of(e), hash));
        break;
    }
    size_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool mission_table::put(std::string_view issuer, std::string_view id, const published& told,
                        std::uint32_t used) noexcept {
    if (!has_form(id, told)) return false;
    // A denial is shown whatever its number: only the number is cut.
    auto p = told;
    p.version = std::min(p.version, version_max);
    if (const auto known = lookup(issuer, id); known.at != nullptr) {
        known.at->write(p);
        return true;
    }
    if (size() >= max_) return false;
    try {
        return insert(issuer, id, p, used);
    } catch (const std::bad_alloc&) {
        return false;
    }
}

bool mission_table::erase(std::string_view issuer, std::string_view id) noexcept {
    const auto known = lookup(issuer, id);
    if (known.at == nullptr) return false;
    const key_words key(issuer_number(issuer), id);
    auto i = current_->home(key.hash(seed_));
    while (entry_at(slot_array::place(current_->load(i))) != known.at)
        i = current_->next(i);
    current_->store(i, slot_array::gone);
    // What nobody has to pass on the way to another one is free again.
    while (current_->load(i) == slot_array::gone &&
           current_->load(current_->next(i)) == slot_array::empty) {
        current_->store(i, slot_array::empty);
        --used_slots_;
        i = current_->before(i);
    }
    known.at->forget(free_[key.words]);
    free_[key.words] = known.at;
    size_.fetch_sub(1, std::memory_order_relaxed);
    return true;
}

void mission_table::keep_only(
    const std::function<bool(std::string_view issuer, std::string_view id)>& keep) {
    for (std::size_t i = 0; i < current_->size(); ++i) {
        const auto* e = entry_at(slot_array::place(current_->load(i)));
        key_words key;
        published p;
        if (e == nullptr || !e->read_all(key, p)) continue;
        const auto& issuer = issuers_[key.issuer()];
        if (!keep(issuer, key.id())) erase(issuer, key.id());
    }
}

std::optional<mission_table::name> mission_table::least_used(
    const std::function<bool(std::string_view issuer, std::string_view id)>& spare) {
    std::optional<name> out;
    std::pair<bool, std::uint32_t> best;  // not ended, last used: the smallest goes
    std::size_t seen = 0;
    for (std::size_t n = 0; n < current_->size() && seen < looked_at; ++n) {
        hand_ = current_->next(hand_);
        const auto* e = entry_at(slot_array::place(current_->load(hand_)));
        key_words key;
        published p;
        if (e == nullptr || !e->read_all(key, p)) continue;
        ++seen;
        const std::pair rank{!ms::is_terminal(p.told), e->last_used()};
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
    return known.at != nullptr ? std::optional(known.p) : std::nullopt;
}

ms::answer mission_table::check(std::string_view issuer, std::string_view id,
                                instant now) const noexcept {
    const auto known = lookup(issuer, id);
    if (known.at == nullptr) return {};
    known.at->use(static_cast<std::uint32_t>(now.wall / 1000));
    return judge(known.p, stream(), now);
}

std::uint32_t mission_table::last_used(std::string_view issuer,
                                       std::string_view id) const noexcept {
    const auto known = lookup(issuer, id);
    return known.at != nullptr && known.at->checked() ? known.at->last_used() : 0;
}

std::vector<mission_table::name> mission_table::unconfirmed(std::size_t most) const {
    struct candidate {
        std::uint32_t used;
        key_words key;
    };
    const auto later = [](const candidate& a, const candidate& b) { return a.used > b.used; };
    std::vector<candidate> heap;  // the one used longest ago in front
    const auto epoch = stream().epoch;
    const auto* array = slots_.load(std::memory_order_acquire);
    for (std::size_t i = 0; most > 0 && i < array->size(); ++i) {
        if (array->retired()) {
            // Replaced by another one, in which there may be more to see.
            array = slots_.load(std::memory_order_acquire);
            heap.clear();
            i = 0;
        }
        const auto* e = entry_at(slot_array::place(array->load(i)));
        if (e == nullptr) continue;
        const auto used = e->last_used();
        if (!e->checked() || (heap.size() == most && used <= heap.front().used)) continue;
        candidate c;
        published p;
        if (!e->read_all(c.key, p)) continue;
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
    std::size_t octets = entries_used_;
    for (const auto& a : arrays_)
        if (!a->retired()) octets += a->size() * sizeof(std::uint32_t);
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
        stream_word w;
        w.live_until.wall = stream_.live_wall.load(std::memory_order_acquire);
        w.live_until.mono = stream_.live_mono.load(std::memory_order_acquire);
        w.epoch = stream_.epoch.load(std::memory_order_acquire);
        if ((before & 1) == 0 && stream_.sequence.load(std::memory_order_relaxed) == before) {
            return w;
        }
    }
}

}  // namespace mission::receiver
