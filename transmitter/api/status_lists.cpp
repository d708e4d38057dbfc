#include "transmitter/api/status_lists.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "jose/digest.hpp"
#include "jose/jws.hpp"

namespace mission::transmitter {
namespace {

using namespace std::chrono_literals;

// A list is signed at most so often, whoever asks.
constexpr auto sign_interval = 1s;
// More signals than this that the listener has not told of: reading the states is cheaper.
constexpr std::size_t catch_up = 2000;

struct signed_list {
    std::string token;
    wall_time exp{};
    steady_time made{};
};

struct list_state {
    // Of whoever brings the list up to date, one at a time (`busy`):
    status_bits bits;
    std::string lst;           // of the bits, until one changes
    store::seq_t applied = 0;  // every commit up to here is in the bits
    bool loaded = false;
    // Under the lock of all lists:
    std::set<store::mission_row> stale;
    std::shared_ptr<const signed_list> answer;
    bool busy = false;
    std::vector<net::responder> waiting;
};

// One update of a list. What the listener has told is taken before the snapshot begins: what it
// tells afterwards may not be in it.
struct update {
    std::int64_t number = 0;
    std::shared_ptr<list_state> list;
    wall_time now{};
    store::seq_t heard = 0;
    std::set<store::mission_row> stale;
    bool done = false;
    wall_time as_of{};
};

class issuer_status_lists final : public status_lists,
                                  public std::enable_shared_from_this<issuer_status_lists> {
  public:
    explicit issuer_status_lists(const issuer_service& issuer)
        : issuer_(issuer),
          ttl_(issuer.common->settings.missions.status_list_ttl),
          places_(jose::view(jose::hmac_sha256(issuer.common->settings.secrets_key,
                                               "status list places of " + issuer.settings.url))) {}

    void committed(const std::vector<store::signal>& batch) override {
        const std::lock_guard lock(mutex_);
        for (const auto& s : batch) {
            heard_ = std::max(heard_, s.seq);
            if (s.issuer != issuer_.id || s.kind != store::signal_kind::mission) continue;
            // A list that nobody has asked for is read whole when somebody does.
            if (const auto it = lists_.find(status_list_of(s.mission)); it != lists_.end())
                it->second->stale.insert(s.mission);
        }
    }

    void answer(std::int64_t number, const net::responder& respond) override {
        std::shared_ptr<const signed_list> ready;
        auto u = std::make_shared<update>();
        u->number = number;
        {
            const std::lock_guard lock(mutex_);
            const auto it = lists_.find(number);
            if (it != lists_.end()) {
                auto& list = *it->second;
                u->list = it->second;
                if (fresh(list.answer.get())) {
                    ready = list.answer;
                } else {
                    list.waiting.push_back(respond);
                    if (std::exchange(list.busy, true)) return;
                    u->now = issuer_.common->time->now();
                    u->heard = heard_;
                    u->stale.swap(list.stale);
                }
            }
        }
        if (ready) return respond(answer_of(*ready));
        if (!u->list) return add(number, respond);
        issuer_.common->db->read(
            [self = shared_from_this(), u](const store::rows& rows) {
                self->bring_up(*u, rows);
                u->done = true;
            },
            [self = shared_from_this(), u](const result<void>& read) {
                if (!read || !u->done) return self->give_up(*u);
                self->issuer_.common->runtime->post_work([self, u] { self->sign(*u); });
            });
    }

    reference of(store::mission_row row) const override {
        return {places_.index_of(row), uri_of(status_list_of(row))};
    }

  private:
    std::string uri_of(std::int64_t number) const {
        return issuer_.url("/status-lists/" + std::to_string(number));
    }

    // The first list is always there; others once a mission of theirs is. Numbers that nobody has
    // reached cost a read and no memory.
    void add(std::int64_t number, const net::responder& respond) {
        auto there = std::make_shared<bool>(number == 0);
        issuer_.common->db->read(
            [there, number](const store::rows& rows) {
                *there = *there || first_of_list(number) <= rows.last_mission();
            },
            [self = shared_from_this(), there, number, respond](const result<void>& read) {
                if (!read) return respond(error_answer(read.error()));
                if (!*there) return respond(error_answer(errc::mission_not_found));
                {
                    const std::lock_guard lock(self->mutex_);
                    auto& place = self->lists_[number];
                    if (!place) place = std::make_shared<list_state>();
                }
                self->answer(number, respond);
            });
    }

    bool fresh(const signed_list* made) const {
        return made && issuer_.common->time->steady_now() - made->made < sign_interval;
    }

    // The bits as of this snapshot, and the moment that they may speak of.
    void bring_up(update& u, const store::rows& rows) const {
        auto& list = *u.list;
        const auto head = rows.head();
        // Of the last commits the listener may not have told yet, though their callers know: the
        // log has them.
        const auto from = std::max(list.applied, u.heard);
        auto stale = u.stale;
        if (!list.loaded || !add_untold(rows, u.number, from, head, stale)) {
            load(u.number, list, rows);
        } else {
            for (const auto row : stale)
                set(list, row, rows.find_state(row));
        }
        list.applied = head;
        u.as_of = as_of(rows, u.now);
    }

    // False when reading everything is cheaper, or the log no longer goes back so far.
    bool add_untold(const store::rows& rows, std::int64_t number, store::seq_t from,
                    store::seq_t head, std::set<store::mission_row>& stale) const {
        if (from >= head) return true;
        if (rows.tail() > from + 1 || head - from > static_cast<store::seq_t>(catch_up))
            return false;
        for (const auto& s : rows.signals(from, head, catch_up))
            if (s.issuer == issuer_.id && s.kind == store::signal_kind::mission &&
                status_list_of(s.mission) == number)
                stale.insert(s.mission);
        return true;
    }

    void load(std::int64_t number, list_state& list, const store::rows& rows) const {
        list.bits = status_bits();
        list.lst.clear();
        const auto first = first_of_list(number);
        const auto last =
            store::mission_row{static_cast<std::int64_t>(first) + status_list_size - 1};
        for (const auto& m : rows.states(first, last))
            if (m.issuer == issuer_.id)
                list.bits.set(places_.index_of(m.row), list_status_of(m.state));
        list.loaded = true;
    }

    void set(list_state& list, store::mission_row row,
             const std::optional<store::mission_state>& s) const {
        if (!s) return;
        const auto index = places_.index_of(row);
        const auto value = list_status_of(s->state);
        if (list.bits.get(index) == value) return;
        list.bits.set(index, value);
        list.lst.clear();
    }

    // What is due and not in the rows may not be vouched for.
    wall_time as_of(const store::rows& rows, wall_time now) const {
        auto out = now;
        if (const auto due = rows.next_deadline()) out = std::min(out, *due);
        if (const auto mark = rows.oldest_cascade()) out = std::min(out, *mark);
        return out;
    }

    // THREAD: a worker.
    void sign(const update& u) {
        auto& list = *u.list;
        auto made = std::make_shared<signed_list>();
        made->made = issuer_.common->time->steady_now();
        const auto iat = to_numeric_date(u.as_of);
        made->exp = from_numeric_date(iat) + ttl_;
        if (made->exp <= issuer_.common->time->now()) return finish(list, nullptr);
        if (list.lst.empty()) list.lst = list.bits.compressed();
        auto token = jose::sign_compact(issuer_.keys->status_signer()->key(), "statuslist+jwt",
                                        claims_of(u.number, list.lst, iat));
        if (!token) {
            log(level::error, "a status list could not be signed",
                {{"why", token.error().message()}});
            return finish(list, nullptr);
        }
        made->token = std::move(*token);
        finish(list, std::move(made));
    }

    std::string claims_of(std::int64_t number, std::string_view lst, std::int64_t iat) const {
        json::buffer buffer;
        json::writer w(buffer);
        w.StartObject();
        json::member(w, "iss", issuer_.settings.url);
        json::member(w, "sub", uri_of(number));
        json::key(w, "iat");
        w.Int64(iat);
        json::key(w, "exp");
        w.Int64(iat + ttl_.count());
        json::key(w, "ttl");
        w.Int64(ttl_.count());
        json::key(w, "status_list");
        w.StartObject();
        json::key(w, "bits");
        w.Int(2);
        json::member(w, "lst", lst);
        w.EndObject();
        w.EndObject();
        return json::text(buffer);
    }

    // The rows could not be read: what was to be looked at stays to be looked at.
    void give_up(update& u) {
        {
            const std::lock_guard lock(mutex_);
            u.list->stale.merge(u.stale);
        }
        finish(*u.list, nullptr);
    }

    // Null: nothing fresh enough can be said.
    void finish(list_state& list, const std::shared_ptr<const signed_list>& made) {
        std::vector<net::responder> waiting;
        {
            const std::lock_guard lock(mutex_);
            list.answer = made;
            waiting.swap(list.waiting);
            list.busy = false;
        }
        for (const auto& respond : waiting)
            respond(made ? answer_of(*made) : error_answer(errc::unavailable));
    }

    net::http_response answer_of(const signed_list& list) const {
        const auto left =
            std::chrono::floor<std::chrono::seconds>(list.exp - issuer_.common->time->now());
        if (left <= 0s) return error_answer(errc::unavailable);
        net::http_response r;
        r.fields.set("content-type", "application/statuslist+jwt");
        r.fields.set("cache-control", "max-age=" + std::to_string(left.count()));
        r.body = list.token;
        return r;
    }

    const issuer_service& issuer_;
    const std::chrono::seconds ttl_;
    const status_places places_;
    std::mutex mutex_;
    store::seq_t heard_ = 0;
    std::map<std::int64_t, std::shared_ptr<list_state>> lists_;
};

std::optional<std::int64_t> parse_list(std::string_view text) {
    // One text for one list: no sign, no leading zero.
    constexpr std::size_t digits_most = 12;
    if (text.empty() || text.size() > digits_most || (text.size() > 1 && text.front() == '0'))
        return std::nullopt;
    std::int64_t out = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (failed != std::errc{} || end != text.data() + text.size() || out < 0) return std::nullopt;
    return out;
}

}  // namespace

std::shared_ptr<status_lists> make_status_lists(const issuer_service& issuer) {
    if (issuer.common->settings.missions.status_list_ttl == 0s) return nullptr;
    return std::make_shared<issuer_status_lists>(issuer);
}

void add_status_list_route(router& r, issuer_service& issuer) {
    if (!issuer.lists) return;
    r.add("GET", "/status-lists/*",
          [&issuer](net::http_request, std::string number, net::responder respond) {
              const auto list = parse_list(number);
              if (!list) return respond(error_answer(errc::not_found));
              issuer.lists->answer(*list, respond);
          });
}

}  // namespace mission::transmitter
