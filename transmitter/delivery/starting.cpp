// Before anything is delivered: what the store holds of the issuer's streams, and what the
// configuration has made of their clients meanwhile. Blocking, before the listener opens.
#include <algorithm>
#include <future>

#include "events/set.hpp"
#include "jose/digest.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/delivery/notices.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::transmitter {

namespace {

// Streams that are given a new epoch in one transaction.
constexpr std::size_t reconciled_at_once = 500;

// Whether a stream that goes from one to the other may now have to know more than it was told: then
// it asks Status. Another signature changes nothing of that.
bool may_miss(const store::stream_epoch& before, store::stream_epoch after) {
    after.alg = before.alg;
    return !same_terms(before, after);
}

std::string what_changed(const store::stream_epoch& before, const store::stream_epoch& after) {
    std::string out;
    const auto add = [&](bool differs, std::string_view name) {
        if (!differs) return;
        if (!out.empty()) out += ", ";
        out += name;
    };
    add(before.iss != after.iss, "iss");
    add(before.aud != after.aud, "aud");
    add(before.events_delivered != after.events_delivered, "events_delivered");
    add(before.alg != after.alg, "signing algorithm");
    add(before.visibility != after.visibility, "what may be told");
    return std::string(changed_reason) + ": " + out;
}

}  // namespace

result<issuer_delivery::loaded_issuer> issuer_delivery::load() {
    loaded_issuer out;
    const auto read = db().read_now([&](const store::rows& rows) {
        out = {};
        out.subjects = std::make_unique<subject_index>(jose::random_id(16, random()));
        out.head = rows.head();
        out.tail = rows.tail();
        out.routed = rows.routed_seq(issuer_.id);
        for (auto& s : rows.streams(issuer_.id)) {
            loaded_stream one;
            one.epochs = rows.epochs(s.row);
            one.cursor = rows.find_cursor(s.row).value_or(store::cursor{});
            // Not open: everything that was routed is settled (store::cursor).
            if (!one.cursor.open) one.cursor.acked_seq = std::max(one.cursor.acked_seq, out.routed);
            one.exceptions = rows.exceptions(s.row);
            one.events = rows.stream_events(s.row);
            one.config = std::move(s);
            out.streams.push_back(std::move(one));
        }
        std::size_t unreadable = 0;
        rows.each_subject(issuer_.id, [&](const store::stream_subject& row) {
            if (!out.subjects->load(row)) ++unreadable;
            out.with_subjects.insert(row.stream);
            if (row.remove_at && !row.removed_seq &&
                (!out.first_removal || *row.remove_at < *out.first_removal)) {
                out.first_removal = row.remove_at;
            }
        });
        if (unreadable > 0) {
            log(level::error, "subjects of streams unreadable",
                {{"count", std::to_string(unreadable)}});
        }
    });
    if (!read) return read.error();
    return out;
}

result<void> issuer_delivery::reconcile(std::vector<loaded_stream>& streams) {
    std::vector<loaded_stream*> changed;
    const auto write = [&]() -> result<void> {
        if (changed.empty()) return {};
        return write_reconciled(std::exchange(changed, {}));
    };
    for (auto& s : streams) {
        const client_config* client = issuer_.find_client(s.config.client_id);
        if (client == nullptr || s.epochs.empty()) continue;
        const auto wanted =
            make_epoch(*client, issuer_, s.config.events_requested, s.config.capabilities);
        if (same_terms(s.epochs.back(), wanted)) continue;
        changed.push_back(&s);
        if (changed.size() < reconciled_at_once) continue;
        if (const auto done = write(); !done) return done;
    }
    return write();
}

result<void> issuer_delivery::write_reconciled(std::vector<loaded_stream*> changed) {
    struct renewed {
        loaded_stream* of = nullptr;
        store::stream_epoch epoch;
        store::stream_event told;
    };
    auto all = std::make_shared<std::vector<renewed>>();
    for (auto* s : changed) {
        const client_config* client = issuer_.find_client(s->config.client_id);
        renewed one;
        one.of = s;
        one.epoch =
            make_epoch(*client, issuer_, s->config.events_requested, s->config.capabilities);
        one.epoch.stream = s->config.row;
        if (may_miss(s->epochs.back(), one.epoch)) ++s->config.continuity;
        one.told.stream = s->config.row;
        one.told.jti = jose::random_id(18, random());
        one.told.type = events::stream_updated_type;
        one.told.event = events::to_json(events::stream_updated{
            std::string(store::name(s->config.status)), what_changed(s->epochs.back(), one.epoch)});
        one.told.created_at = now().wall;
        all->push_back(std::move(one));
    }
    auto done = std::make_shared<std::promise<result<store::receipt>>>();
    auto future = done->get_future();
    db().submit(
        [all](const store::rows& rows, wall_time) -> result<store::changes> {
            store::changes out;
            for (auto& one : *all) {
                one.epoch.from_seq = rows.head() + 1;
                out.epochs.push_back(one.epoch);
                out.updated_streams.push_back(one.of->config);
                out.stream_events.push_back(one.told);
            }
            return out;
        },
        [done](result<store::receipt> receipt) { done->set_value(std::move(receipt)); });
    const auto receipt = future.get();
    if (!receipt) return receipt.error();
    for (auto& one : *all) {
        auto& epochs = one.of->epochs;
        // One that began at the same place is replaced: nothing was built by it.
        std::erase_if(epochs, [&](const auto& e) { return e.from_seq == one.epoch.from_seq; });
        epochs.push_back(std::move(one.epoch));
        one.of->events.push_back(std::move(one.told));
        log(level::info, "stream follows its client's changed entry",
            {{"stream", one.of->config.stream_id}, {"client", one.of->config.client_id}});
    }
    return {};
}

}  // namespace mission::transmitter
